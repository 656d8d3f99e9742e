package realclients

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
)

// The byte sequences that the firmware of small boards sends, written down as they leave the board. They are 3.1.1 with
// QoS 0 and a short keep-alive, and each library has its habits.

// board is the end of a connection that a board holds.
type board struct {
	t    testing.TB
	conn net.Conn
}

func (s *Server) board(t testing.TB) *board {
	t.Helper()
	c, err := net.Dial("tcp", "127.0.0.1:"+s.Port)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(Patience))
	return &board{t, c}
}

// send writes a packet: its first byte, its length, and parts.
func (b *board) send(first string, parts ...string) {
	b.t.Helper()
	if _, err := b.conn.Write(frame(b.t, first, parts...)); err != nil {
		b.t.Fatal(err)
	}
}

// want reads exactly this packet.
func (b *board) want(first string, parts ...string) {
	b.t.Helper()
	want := frame(b.t, first, parts...)
	got := make([]byte, len(want))
	if n, err := io.ReadFull(b.conn, got); err != nil {
		b.t.Fatalf("read %x and then %v, want %x", got[:n], err, want)
	}
	if string(got) != string(want) {
		b.t.Fatalf("read  %x\nwant %x", got, want)
	}
}

// wantEnd reads the end of the connection, and nothing before.
func (b *board) wantEnd() {
	b.t.Helper()
	rest, err := io.ReadAll(b.conn)
	var reset *net.OpError
	if len(rest) > 0 || (err != nil && (!errors.As(err, &reset) || reset.Timeout())) {
		b.t.Fatalf("read %x and then %v, want the end of the connection", rest, err)
	}
}

// frame makes a packet of its first byte and parts.
func frame(t testing.TB, first string, parts ...string) []byte {
	t.Helper()
	body := octets(t, parts)
	return append(binary.AppendUvarint(octets(t, []string{first}), uint64(len(body))), body...)
}

// octets makes bytes of parts: hex digits, or 'text, or "text with its two bytes of length before it.
func octets(t testing.TB, parts []string) []byte {
	t.Helper()
	var b []byte
	for _, p := range parts {
		switch {
		case strings.HasPrefix(p, "'"):
			b = append(b, p[1:]...)
		case strings.HasPrefix(p, `"`):
			b = append(b, byte((len(p)-1)>>8), byte(len(p)-1))
			b = append(b, p[1:]...)
		default:
			part, err := hex.DecodeString(strings.ReplaceAll(p, " ", ""))
			if err != nil {
				t.Fatal(err)
			}
			b = append(b, part...)
		}
	}
	return b
}

// PubSubClient on an ESP8266, as in its example: an identifier made of the MAC, "outTopic" and "inTopic", keep-alive 15.
func TestBoardPubSubClient(t *testing.T) {
	s := Start(t)
	b := s.board(t)
	b.send("10", `"MQTT`, "04 02 00 0F", `"ESP8266Client-a1b2c3d4`) // [MQTT-3.1.0-1]
	b.want("20", "00 00")
	watch := s.sub(t, "-t", "outTopic", "-F", "%q %r %p")
	b.send("30", `"outTopic`, "'hello world") // [MQTT-3.3.2-1]
	expect(t, watch, "0 0 hello world")
	b.send("82", "00 02", `"inTopic`, "00") // its first packet identifier is 2
	b.want("90", "00 02 00")                // [MQTT-3.8.4-2]
	s.pub(t, "-t", "inTopic", "-m", "1", "-q", "2")
	b.want("30", `"inTopic`, "'1")
	b.send("31", `"outTopic`, "'off") // retained
	expect(t, watch, "0 0 off")
	if out := run(t, "", "mosquitto_sub", "-p", s.Port, "-t", "outTopic", "-C", "1", "-F", "%r %p"); out != "1 off\n" {
		t.Errorf("retained: %q", out)
	}
	b.send("C0")
	b.want("D0") // [MQTT-3.12.4-1]
	b.send("A2", "00 03", `"inTopic`)
	b.want("B0", "00 03")
	b.send("E0")
	b.wantEnd() // [MQTT-3.14.4-1]
}

// PubSubClient writes the payload of beginPublish byte by byte, and reads byte by byte.
func TestBoardWritesSingleBytes(t *testing.T) {
	s := Start(t)
	watch := s.sub(t, "-t", "outTopic")
	b := s.board(t)
	packets := slices.Concat(frame(t, "10", `"MQTT`, "04 02 00 0F", `"ESP-a1b2c3d`), frame(t, "30", `"outTopic`, "'hello"), frame(t, "C0"))
	for _, octet := range packets {
		if _, err := b.conn.Write([]byte{octet}); err != nil {
			t.Fatal(err)
		}
	}
	b.want("20", "00 00")
	b.want("D0")
	expect(t, watch, "hello")
}

// A board with a will and a keep-alive of one second goes silent: it is closed after one and a half seconds, and its will
// is published. [MQTT-3.1.2-22] [MQTT-3.1.2-8]
func TestBoardGoesSilent(t *testing.T) {
	s := Start(t)
	watch := s.sub(t, "-t", "esp/status", "-F", "%r %p")
	b := s.board(t)
	b.send("10", `"MQTT`, "04 26 00 01", `"ESP-1`, `"esp/status`, `"offline`)
	b.want("20", "00 00")
	b.wantEnd()
	expect(t, watch, "0 offline")
}

// Tasmota: LWT retained, three filters of commands, a state, and death without a goodbye.
func TestBoardTasmota(t *testing.T) {
	s := Start(t)
	watch := s.sub(t, "-q", "1", "-t", "tele/#", "-t", "stat/#", "-t", "tasmota/discovery/#", "-F", "%q %r %t %p")
	b := s.board(t)
	b.send("10", `"MQTT`, "04 EE 00 1E", `"DVES_A1B2C3`, `"tele/tasmota_A1B2C3/LWT`, `"Offline`, `"DVES_USER`, `"secret`)
	b.want("20", "00 00")
	b.send("31", `"tele/tasmota_A1B2C3/LWT`, "'Online")
	b.send("30", `"cmnd/tasmota_A1B2C3/POWER`) // an empty message that asks for the state
	b.send("82", "00 02", `"cmnd/tasmota_A1B2C3/#`, "00")
	b.send("82", "00 03", `"cmnd/tasmotas/#`, "00")
	b.send("82", "00 04", `"cmnd/DVES_A1B2C3_fb/#`, "00")
	b.want("90", "00 02 00")
	b.want("90", "00 03 00")
	b.want("90", "00 04 00")
	expect(t, watch, "0 0 tele/tasmota_A1B2C3/LWT Online")
	config := `{"ip":"192.0.2.7","dn":"Tasmota","fn":["Tasmota",null],"hn":"tasmota-A1B2C3","mac":"5CCF7FA1B2C3","md":"Sonoff Basic",` +
		`"ofln":"Offline","onln":"Online","state":["OFF","ON","TOGGLE","HOLD"],"t":"tasmota_A1B2C3","ft":"%prefix%/%topic%/"}`
	topic := "tasmota/discovery/5CCF7FA1B2C3/config"
	b.send("31", `"`+topic, "'"+config)
	expect(t, watch, "0 0 "+topic+" "+config)
	s.pub(t, "-t", "cmnd/tasmota_A1B2C3/POWER", "-m", "TOGGLE", "-q", "1")
	b.want("30", `"cmnd/tasmota_A1B2C3/POWER`, "'TOGGLE")
	b.send("30", `"stat/tasmota_A1B2C3/POWER`, "'ON")
	expect(t, watch, "0 0 stat/tasmota_A1B2C3/POWER ON")
	b.conn.Close()
	expect(t, watch, "1 0 tele/tasmota_A1B2C3/LWT Offline")
	if out := run(t, "", "mosquitto_sub", "-p", s.Port, "-t", "tele/+/LWT", "-C", "1", "-F", "%r %p"); out != "1 Offline\n" {
		t.Errorf("retained LWT: %q", out)
	}
}

// ESPHome: the birth message, Home Assistant's discovery of some KB, logs, one command topic, and back after a reboot.
func TestBoardESPHome(t *testing.T) {
	s := Start(t)
	topic := "homeassistant/sensor/kitchen/temperature/config"
	config := `{"name":"Temperature","dev_cla":"temperature","unit_of_meas":"°C","stat_t":"kitchen/sensor/temperature/state",` +
		`"avty_t":"kitchen/status","uniq_id":"ESPsensortemperature","dev":{"ids":"a1b2c3d4e5f6","name":"kitchen","sw":"` + strings.Repeat("x", 3000) + `"}}`
	connect := []string{`"MQTT`, "04 26 00 0F", `"kitchen-a1b2c3d4e5f6`, `"kitchen/status`, `"offline`}
	for range 2 { // the second time is a reboot: the board comes again with its identifier and has not closed the first connection
		b := s.board(t)
		b.send("10", connect...)
		b.want("20", "00 00")
		b.send("31", `"kitchen/status`, "'online")
		b.send("31", `"`+topic, "'"+config)
		b.send("82", "00 01", `"kitchen/switch/relay/command`, "00")
		b.want("90", "00 01 00")
		b.send("C0")
		b.want("D0")
	}
	out := run(t, "", "mosquitto_sub", "-p", s.Port, "-t", "homeassistant/+/+/+/config", "-C", "1", "-F", "%r %t %p")
	if out != "1 "+topic+" "+config+"\n" {
		t.Errorf("discovery: %s", out)
	}
	if out := run(t, "", "mosquitto_sub", "-p", s.Port, "-t", "kitchen/status", "-C", "1"); out != "online\n" {
		t.Errorf("status after the reboot: %q", out)
	}
}

// Two boards were flashed with one client identifier. The older is closed, and the log tells what is going on and where
// both are. [MQTT-3.1.4-3]
func TestTwoBoardsWithOneIdentifier(t *testing.T) {
	s := Start(t)
	connect := []string{`"MQTT`, "04 02 00 0F", `"esp1`}
	older, newer := s.board(t), s.board(t)
	older.send("10", connect...)
	older.want("20", "00 00")
	newer.send("10", connect...)
	newer.want("20", "00 00")
	older.wantEnd()
	newer.send("C0")
	newer.want("D0")
	if s.Log != nil {
		s.Log.Until(t, "esp1", older.conn.LocalAddr().String(), newer.conn.LocalAddr().String(), "client identifier", "closed")
	}
}

// A 5.0 client is told with 0x8E that another took over. [MQTT-3.1.4-3]
func TestTakeoverIsExplained(t *testing.T) {
	s := Start(t)
	notMosquitto(t, s, "2.0.11 often closes the connection before the DISCONNECT is out")
	connect := []string{`"MQTT`, "05 02 00 0F 00", `"esp1`}
	older, newer := s.board(t), s.board(t)
	older.send("10", connect...)
	older.connack()
	newer.send("10", connect...)
	newer.connack()
	older.want("E0", "8E")
	older.wantEnd()
}

// connack reads a CONNACK of 5.0 with success, whatever its properties.
func (b *board) connack() {
	b.t.Helper()
	head := make([]byte, 2)
	if _, err := io.ReadFull(b.conn, head); err != nil || head[0] != 0x20 || head[1] > 127 {
		b.t.Fatalf("CONNACK: %x, %v", head, err)
	}
	body := make([]byte, head[1])
	if _, err := io.ReadFull(b.conn, body); err != nil || body[1] != 0 {
		b.t.Fatalf("CONNACK: %x, %v", body, err)
	}
}
