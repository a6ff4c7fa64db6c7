package gateway

import (
	"bytes"
	"encoding/json"
	"net/http"
)

// events writes server-sent events, or lines of JSON.
type events struct {
	g     *Gateway
	w     http.ResponseWriter
	rc    *http.ResponseController
	buf   bytes.Buffer
	lines bool // JSON alone, a line each
	begun bool // the headers are out
}

// named puts an event with a name and v as JSON into the buffer.
func (e *events) named(name string, v any) {
	e.buf.WriteString("event: " + name + "\n")
	e.add(v)
}

// add puts an event with v as JSON into the buffer.
func (e *events) add(v any) {
	if !e.lines {
		e.buf.WriteString("data: ")
	}
	enc := json.NewEncoder(&e.buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		e.g.log.Error("an event cannot be written as JSON", "error", err)
	}
	if !e.lines {
		e.buf.WriteByte('\n') // Encode wrote the first of two
	}
}

// done puts the end mark into the buffer.
func (e *events) done() { e.buf.WriteString("data: [DONE]\n\n") }

// comment puts a line that clients pass over into the buffer.
func (e *events) comment(s string) { e.buf.WriteString(": " + s + "\n\n") }

// flush sends the buffer. A client that takes nothing for too long gets an
// error, and its miners stop.
func (e *events) flush() error {
	if !e.begun {
		e.begun = true
		h := e.w.Header()
		h.Set("Content-Type", "text/event-stream; charset=utf-8")
		if e.lines {
			h.Set("Content-Type", "application/x-ndjson")
		}
		h.Set("Cache-Control", "no-cache")
		h.Set("X-Accel-Buffering", "no") // proxies shall not hold it back
		e.w.WriteHeader(http.StatusOK)
	}
	e.g.extend(e.w)
	if _, err := e.w.Write(e.buf.Bytes()); err != nil {
		return errGone
	}
	e.buf.Reset()
	if err := e.rc.Flush(); err != nil {
		return errGone
	}
	return nil
}
