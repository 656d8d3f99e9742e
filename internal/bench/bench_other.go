//go:build !linux

package bench

import (
	"context"
	"errors"
)

// Run needs Linux: load is made with epoll.
func Run(context.Context, Options) (*Report, error) {
	return nil, errors.New("load is made with epoll, which this system does not have; run it on Linux against this broker")
}
