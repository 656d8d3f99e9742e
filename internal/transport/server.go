package transport

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nightjarmq/nightjar/internal/ration"
)

// Server accepts connections and runs them.
type Server struct {
	cfg    Config
	clock  clock
	pools  pools
	shakes chan struct{} // taken while a TLS handshake computes
	wg     sync.WaitGroup
	count  atomic.Int32 // connections

	refused ration.Lines // about connections that did not get ready, by address

	// moves is held by whoever hands a connection to another loop, and wholly by
	// whoever asks all loops for something: so no connection is missed.
	moves sync.RWMutex

	batchMu sync.Mutex
	batches []*Batch // free

	mu        sync.Mutex // guards what follows
	state     runState
	loops     []*loop
	listeners map[*Listener]struct{}
	streams   map[*stream]struct{}
}

type runState int

const (
	idle runState = iota
	running
	stopped
)

// New returns a Server that does nothing before Run.
func New(cfg Config) *Server {
	cfg.Loops = cmp.Or(cfg.Loops, runtime.GOMAXPROCS(0))
	cfg.OutLimit = cmp.Or(cfg.OutLimit, 1<<20)
	cfg.ReadBuffer = max(cmp.Or(cfg.ReadBuffer, 64<<10), 16<<10)
	cfg.WriteTimeout = cmp.Or(cfg.WriteTimeout, 30*time.Second)
	cfg.CloseTimeout = cmp.Or(cfg.CloseTimeout, 3*time.Second)
	cfg.HandshakeTimeout = cmp.Or(cfg.HandshakeTimeout, 10*time.Second)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Server{
		refused:   ration.Lines{AtOnce: 20}, // many devices may share an address
		cfg:       cfg,
		clock:     newClock(cfg.Now),
		shakes:    make(chan struct{}, runtime.GOMAXPROCS(0)),
		listeners: make(map[*Listener]struct{}),
		streams:   make(map[*stream]struct{}),
	}
}

// Run serves until ctx ends, then closes all listeners and connections and
// returns when they are gone. It runs once.
func (s *Server) Run(ctx context.Context) error {
	if err := s.start(); err != nil {
		return err
	}
	<-ctx.Done()
	s.stop()
	s.wg.Wait()
	return nil
}

func (s *Server) start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != idle {
		return errors.New("a transport server runs only once")
	}
	if !s.cfg.Goroutines {
		for range s.cfg.Loops {
			l, err := newLoop(s)
			if err != nil {
				for _, l := range s.loops {
					l.close()
				}
				s.loops = nil
				return err
			}
			if l == nil {
				break // no loops on this system
			}
			s.loops = append(s.loops, l)
		}
	}
	s.state = running
	for ln := range s.listeners {
		if err := ln.start(); err != nil {
			s.cfg.Log.Error("listener failed", "listener", ln.Name(), "cause", err)
		}
	}
	for _, l := range s.loops {
		s.wg.Go(l.run)
	}
	return nil
}

func (s *Server) stop() {
	s.mu.Lock()
	s.state = stopped
	defer s.mu.Unlock()
	for ln := range s.listeners {
		ln.close()
	}
	for _, l := range s.loops {
		l.stop()
	}
	for st := range s.streams {
		st.c.Close(ErrServerClosed)
	}
}
