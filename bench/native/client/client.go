// Package client sends the benchmark's fixed inference, one request at a time on one kept connection.
package client

import "net"

// Caller asks one model again and again.
type Caller interface {
	SetModel(model string)
	// Call sends one inference and waits for its answer; a *StatusError leaves the connection usable.
	Call() error
	Close() error
}

// StatusError is an answer that is not the model's.
type StatusError struct{ Status string }

func (e *StatusError) Error() string { return "answer " + e.Status }

// Dial connects for "rest" or "grpc".
func Dial(protocol, address string) (Caller, error) {
	connection, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	if protocol == "grpc" {
		return newGrpc(connection)
	}
	return newRest(connection), nil
}
