"""What people do with paho for Python, one function a habit: peer.py HABIT PORT WEBSOCKET_PORT.

Each prints "ok" at its end, or fails with an assertion.
"""

import queue
import sys
import threading
import uuid

import paho.mqtt.client as mqtt
import paho.mqtt.publish as publish
import paho.mqtt.subscribe as subscribe
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

HOST = "127.0.0.1"
PATIENCE = 50


class Inbox:
    """A client with a network thread, whose messages and events wait in queues."""

    def __init__(self, port, protocol=mqtt.MQTTv311, transport="tcp", client_id="", connect=None, before=None, **more):
        self.messages, self.events = queue.Queue(), queue.Queue()
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=protocol, transport=transport, **more)
        self.client.on_message = lambda c, u, m: self.messages.put(m)
        self.client.on_connect = lambda c, u, flags, reason, props: self.events.put(("connect", flags, reason, props))
        self.client.on_subscribe = lambda c, u, mid, reasons, props: self.events.put(("subscribe", reasons))
        self.client.on_unsubscribe = lambda c, u, mid, reasons, props: self.events.put(("unsubscribe", reasons))
        self.client.on_disconnect = lambda c, u, flags, reason, props: self.events.put(("disconnect", reason))
        if before:
            before(self.client)
        self.client.connect(HOST, port, 15, **(connect or {}))
        self.client.loop_start()
        self.connected = self.event("connect")
        assert self.connected[2] == 0, self.connected

    def event(self, name):
        e = self.events.get(timeout=PATIENCE)
        assert e[0] == name, e
        return e

    def subscribe(self, *args, **kwargs):
        self.client.subscribe(*args, **kwargs)
        return self.event("subscribe")[1]

    def message(self):
        return self.messages.get(timeout=PATIENCE)

    def publish(self, *args, **kwargs):
        info = self.client.publish(*args, **kwargs)
        info.wait_for_publish(PATIENCE)
        assert info.is_published()

    def close(self):
        self.client.disconnect()
        self.event("disconnect")
        self.client.loop_stop()


def single_and_simple(port, _ws):
    """publish.single, publish.multiple and subscribe.simple: the start of countless tutorials."""
    publish.single("paho/single", "boo", qos=1, retain=True, hostname=HOST, port=port)
    publish.multiple(
        [{"topic": "paho/multiple/dict", "payload": "one", "qos": 2, "retain": True}, ("paho/multiple/tuple", "two", 1, True)],
        hostname=HOST, port=port)
    m = subscribe.simple("paho/single", hostname=HOST, port=port)
    assert (m.topic, m.payload, m.retain) == ("paho/single", b"boo", True)
    got = subscribe.simple("paho/multiple/#", qos=2, msg_count=2, hostname=HOST, port=port)
    assert {(m.topic, m.payload, m.qos) for m in got} == {("paho/multiple/dict", b"one", 2), ("paho/multiple/tuple", b"two", 1)}, got


def callback(port, _ws):
    """subscribe.callback ends from within, as in the documentation's example."""
    publish.single("paho/callback", "go", retain=True, hostname=HOST, port=port)
    seen = []

    def on_message(client, userdata, message):
        seen.append(message.payload)
        client.disconnect()

    subscribe.callback(on_message, "paho/callback", hostname=HOST, port=port)
    assert seen == [b"go"]


def loop_forever_version1(port, _ws):
    """The program of paho's README with the callbacks of version 1: subscribe in on_connect, loop_forever."""
    seen = []

    def on_connect(client, userdata, flags, rc):
        assert rc == 0
        client.subscribe("$SYS/#")
        client.subscribe([("loop/#", 1), ("again/#", 2)])

    def on_subscribe(client, userdata, mid, granted):
        if list(granted) == [1, 2]:
            client.publish("loop/x", "hello", qos=1)

    def on_message(client, userdata, message):
        if message.topic == "loop/x":
            seen.append(message.payload)
            client.disconnect()

    client = mqtt.Client(CallbackAPIVersion.VERSION1)
    client.on_connect, client.on_subscribe, client.on_message = on_connect, on_subscribe, on_message
    client.connect(HOST, port, 60)
    client.loop_forever()
    assert seen == [b"hello"]


def qos(port, ws):
    """Every QoS both ways, over TCP and WebSocket, in all three versions; 200 messages keep their order."""
    for protocol in (mqtt.MQTTv31, mqtt.MQTTv311, mqtt.MQTTv5):
        for transport, p in (("tcp", port), ("websockets", ws)):
            if protocol == mqtt.MQTTv31 and transport == "websockets":
                continue  # paho asks for the sub-protocol mqtt, as 3.1.1 has it
            box = Inbox(p, protocol, transport, client_id="py-" + uuid.uuid4().hex[:8])
            for level in (0, 1, 2):
                box.subscribe(f"qos/{level}", level)
                infos = [box.client.publish(f"qos/{level}", str(i), qos=level) for i in range(200)]
                assert [int(box.message().payload) for _ in range(200)] == list(range(200))
                infos[-1].wait_for_publish(PATIENCE)
            box.client.unsubscribe(["qos/0", "qos/1"])
            box.event("unsubscribe")
            box.publish("qos/1", "unheard", qos=1)
            box.publish("qos/2", "marker", qos=2)
            assert box.message().payload == b"marker"
            box.close()


def websocket_large(_port, ws):
    """A payload of 300 kB, which WebSocket clients send in frames of their own choice."""
    box = Inbox(ws, transport="websockets", before=lambda c: c.ws_set_options(path="/mqtt"))
    box.subscribe("large", 1)
    payload = bytes(range(256)) * 1200
    box.publish("large", payload, qos=1)
    assert box.message().payload == payload
    box.close()


def properties(port, _ws):
    """5.0: properties of a message, options of a subscription, reason codes, what CONNACK says."""
    connect = Properties(PacketTypes.CONNECT)
    connect.SessionExpiryInterval, connect.ReceiveMaximum = 60, 10  # no Topic Alias Maximum: paho does not look aliases up
    box = Inbox(port, mqtt.MQTTv5, client_id="", connect={"properties": connect, "clean_start": True})
    assert box.connected[3].AssignedClientIdentifier
    ident = Properties(PacketTypes.SUBSCRIBE)
    ident.SubscriptionIdentifier = 42
    codes = box.subscribe([("props/#", SubscribeOptions(qos=1, noLocal=False, retainAsPublished=True))], properties=ident)
    assert [c.value for c in codes] == [1], codes
    box.subscribe("mute/#", options=SubscribeOptions(qos=2, noLocal=True))
    p = Properties(PacketTypes.PUBLISH)
    p.PayloadFormatIndicator, p.ContentType, p.ResponseTopic, p.CorrelationData = 1, "application/json", "props/answer", b"\x00\xff"
    p.MessageExpiryInterval, p.UserProperty = 300, [("a", "1"), ("a", "2")]
    box.publish("mute/me", "not for the sender", qos=1)
    box.publish("props/x", "{}", qos=2, retain=True, properties=p)
    m = box.message()
    assert (m.topic, m.qos, m.retain, m.payload) == ("props/x", 1, True, b"{}"), m
    q = m.properties
    assert (q.PayloadFormatIndicator, q.ContentType, q.ResponseTopic, q.CorrelationData) == (1, "application/json", "props/answer", b"\x00\xff")
    assert q.UserProperty == [("a", "1"), ("a", "2")] and q.SubscriptionIdentifier == [42] and q.MessageExpiryInterval <= 300, q
    alias = Properties(PacketTypes.PUBLISH)
    alias.TopicAlias = 3
    box.publish("props/alias", "first", qos=1, properties=alias)
    box.publish("", "second", qos=1, properties=alias)
    assert [(m.topic, m.payload) for m in (box.message(), box.message())] == [("props/alias", b"first"), ("props/alias", b"second")]
    box.close()


def resume(port, _ws):
    """A persistent session (clean_session=False): away, messages, back with the session present."""
    who = dict(client_id="py-keeper", clean_session=False)
    box = Inbox(port, **who)
    assert not box.connected[1].session_present
    box.subscribe("mail", 1)
    box.close()
    for i in range(10):
        publish.single("mail", str(i), qos=1, hostname=HOST, port=port)
    box = Inbox(port, **who)
    assert box.connected[1].session_present
    assert [int(box.message().payload) for _ in range(10)] == list(range(10))
    box.close()


def home_assistant(port, _ws):
    """Home Assistant: birth and will, discovery of some KB that waits retained, states and commands."""
    config = '{"name":null,"stat_t":"zigbee2mqtt/lamp","cmd_t":"zigbee2mqtt/lamp/set","schema":"json","device":{"ids":["0x1"],"sw":"%s"}}' % ("x" * 4000)
    for n in range(20):
        publish.single(f"homeassistant/light/0x{n}/light/config", config, qos=1, retain=True, hostname=HOST, port=port)

    def before(client):
        client.will_set("homeassistant/status", "offline", qos=0, retain=True)

    hass = Inbox(port, mqtt.MQTTv311, client_id=uuid.uuid4().hex[:22], before=before)
    topics = [(f"homeassistant/{kind}/+/{rest}", 0) for kind in ("light", "sensor", "switch", "binary_sensor") for rest in ("config", "+/config")]
    codes = hass.subscribe(topics)
    assert len(codes) == 8, codes
    hass.publish("homeassistant/status", "online", retain=True)
    got = {hass.message().topic for _ in range(20)}
    assert len(got) == 20, got
    hass.subscribe([("zigbee2mqtt/lamp", 0)])
    lamp = Inbox(port, client_id="mqttjs_1a2b3c4d")
    lamp.subscribe("zigbee2mqtt/+/set", 1)
    hass.publish("zigbee2mqtt/lamp/set", '{"state":"ON"}')
    assert lamp.message().payload == b'{"state":"ON"}'
    lamp.publish("zigbee2mqtt/lamp", '{"state":"ON","brightness":254}', qos=1, retain=True)
    assert b"254" in hass.message().payload
    hass.client.loop_stop()
    hass.client._sock_close()  # it crashes: no DISCONNECT
    m = subscribe.simple("homeassistant/status", hostname=HOST, port=port)
    lamp.subscribe("homeassistant/status")
    while m.payload != b"offline":
        m = lamp.message()
    lamp.close()


def many_threads(port, _ws):
    """Eight threads with a client each publish to one subscriber."""
    box = Inbox(port, client_id="py-collector")
    box.subscribe("threads/#", 1)

    def work(n):
        publish.multiple([(f"threads/{n}", str(i), 1, False) for i in range(50)], hostname=HOST, port=port)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for t in threads:
        t.start()
    seen = {}
    for _ in range(400):
        m = box.message()
        seen.setdefault(m.topic, []).append(int(m.payload))
    for t in threads:
        t.join(PATIENCE)
    assert len(seen) == 8 and all(v == list(range(50)) for v in seen.values()), seen
    box.close()


HABITS = [single_and_simple, callback, loop_forever_version1, qos, websocket_large, properties, resume, home_assistant, many_threads]

if __name__ == "__main__":
    if sys.argv[1:] == ["list"]:
        print("\n".join(h.__name__ for h in HABITS))
    else:
        {h.__name__: h for h in HABITS}[sys.argv[1]](int(sys.argv[2]), int(sys.argv[3]))
        print("ok")
