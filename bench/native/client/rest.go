package client

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"strconv"

	"millrace/bench/native/wire"
)

type restCaller struct {
	net.Conn
	reader  *bufio.Reader
	request []byte
}

func newRest(connection net.Conn) *restCaller {
	return &restCaller{Conn: connection, reader: bufio.NewReaderSize(connection, 64<<10)}
}

func (c *restCaller) SetModel(model string) {
	c.request = []byte(fmt.Sprintf("POST /v2/models/%s/infer HTTP/1.1\r\nhost: millrace\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s", model, len(wire.RestRequest), wire.RestRequest))
}

func (c *restCaller) Call() error {
	if _, err := c.Write(c.request); err != nil {
		return err
	}
	return readRestAnswer(c.reader)
}

func readRestAnswer(reader *bufio.Reader) error {
	length, status := -1, ""
	for first := true; ; first = false {
		line, err := reader.ReadSlice('\n')
		if err != nil {
			return err
		}
		line = bytes.TrimRight(line, "\r\n")
		if first {
			status = string(line)
			continue
		}
		if len(line) == 0 {
			break
		}
		if name, value, found := bytes.Cut(line, []byte(":")); found && bytes.EqualFold(name, []byte("content-length")) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return err
			}
		}
	}
	if length < 0 {
		return fmt.Errorf("answer without content-length: %s", status)
	}
	if _, err := reader.Discard(length); err != nil {
		return err
	}
	if status != "HTTP/1.1 200 OK" {
		return &StatusError{status}
	}
	return nil
}
