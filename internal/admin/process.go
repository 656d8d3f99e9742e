package admin

import (
	"bytes"
	"io"
	"log"
	"os"

	"github.com/VictoriaMetrics/metrics"
)

// NoteRights finds out what the process may read about itself. It is called when it has the rights that it will keep, and
// before requests come: one that has given up root, where /proc/self/io is root's alone, is asked for the rest only.
//
// Making such a process readable again (PR_SET_DUMPABLE) would be the wrong cure: whatever else runs as its user, often nobody,
// could then read keys and passwords in its memory that only root can read on the disk.
func (a *API) NoteRights() {
	_, err := os.ReadFile("/proc/self/io")
	if a.unreadable = os.IsPermission(err); a.unreadable {
		was := log.Writer()
		log.SetOutput(io.Discard) // the library complains, of the first time only
		metrics.WriteProcessMetrics(io.Discard)
		log.SetOutput(was)
	}
}

// writeProcess writes what the system and the runtime know of the process, without the figures that cannot be read: the library
// has 0 for those.
func (a *API) writeProcess(w io.Writer) {
	if !a.unreadable {
		metrics.WriteProcessMetrics(w)
		return
	}
	var all bytes.Buffer
	metrics.WriteProcessMetrics(&all)
	for line := range bytes.Lines(all.Bytes()) {
		if !bytes.HasPrefix(line, []byte("process_io_")) {
			w.Write(line)
		}
	}
}
