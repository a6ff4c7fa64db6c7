package gateway

import (
	"bytes"
	"encoding/json"
	"net/http"
)

// events writes server-sent events.
type events struct {
	g     *Gateway
	w     http.ResponseWriter
	rc    *http.ResponseController
	buf   bytes.Buffer
	begun bool // the headers are out
}

// add puts an event with v as JSON into the buffer.
func (e *events) add(v any) {
	e.buf.WriteString("data: ")
	enc := json.NewEncoder(&e.buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		e.g.log.Error("an event cannot be written as JSON", "error", err)
	}
	e.buf.WriteByte('\n') // Encode wrote the first of two
}

// done puts the end mark into the buffer.
func (e *events) done() { e.buf.WriteString("data: [DONE]\n\n") }

// ping keeps a silent connection alive.
func (e *events) ping() error {
	e.buf.WriteString(": ping\n\n")
	return e.flush()
}

// flush sends the buffer. A client that takes nothing for too long gets an
// error, and its miners stop.
func (e *events) flush() error {
	if !e.begun {
		e.begun = true
		h := e.w.Header()
		h.Set("Content-Type", "text/event-stream; charset=utf-8")
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
