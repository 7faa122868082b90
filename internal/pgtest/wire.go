package pgtest

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// execute runs one statement on a server that trusts everybody, by the simple
// query protocol: enough to make and drop databases without a driver.
func execute(addr, database, query string) error {
	dialer := net.Dialer{Timeout: 5 * time.Second}
	conn, err := dialer.DialContext(context.Background(), "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return err
	}
	// The first message has no type: protocol 3.0 and the parameters.
	startup := "\x00\x03\x00\x00user\x00" + owner + "\x00database\x00" + database + "\x00\x00"
	if _, err := conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(4+len(startup))), startup...)); err != nil {
		return err
	}
	r := bufio.NewReader(conn)
	if err := untilReady(r); err != nil {
		return err
	}
	message := binary.BigEndian.AppendUint32([]byte{'Q'}, uint32(4+len(query)+1))
	if _, err := conn.Write(append(append(message, query...), 0)); err != nil {
		return err
	}
	return untilReady(r)
}

// untilReady reads messages up to ReadyForQuery and returns the error among
// them.
func untilReady(r *bufio.Reader) error {
	var failed error
	for {
		var head [5]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			if failed != nil {
				return failed
			}
			return err
		}
		body := make([]byte, max(0, int(binary.BigEndian.Uint32(head[1:]))-4))
		if _, err := io.ReadFull(r, body); err != nil {
			return err
		}
		switch head[0] {
		case 'Z':
			return failed
		case 'E':
			failed = fmt.Errorf("PostgreSQL: %s", strings.ReplaceAll(strings.Trim(string(body), "\x00"), "\x00", " "))
		}
	}
}
