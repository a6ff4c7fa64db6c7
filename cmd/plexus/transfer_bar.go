package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/plexus-network/plexus/engine/hub"
)

// How often a transfer is told of: redrawn on a terminal, a line elsewhere.
const (
	redraw = 200 * time.Millisecond
	reline = 10 * time.Second
)

// A transferBar tells how far a transfer is, how fast, and how long it will
// take: one line that is drawn again on a terminal, and lines elsewhere.
type transferBar struct {
	w        io.Writer
	terminal bool
	now      func() time.Time

	began time.Time // zero until the first bytes
	first int64     // bytes that were there already
	last  time.Time // when it was drawn
	drawn bool      // a line stands on the terminal
}

func newTransferBar(w io.Writer) *transferBar {
	return &transferBar{w: w, terminal: isTerminal(w), now: time.Now}
}

// isTerminal tells whether a person sees what is written, line by line and
// drawn again.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// moved is told how many bytes are here, and how many there will be.
func (b *transferBar) moved(done, total int64) {
	now := b.now()
	if b.began.IsZero() || done < b.first { // it began anew
		b.began, b.first, b.last = now, done, now
	}
	every := reline
	if b.terminal {
		every = redraw
	}
	if now.Sub(b.last) < every && done < total {
		return
	}
	b.last = now
	b.draw(done, total, now.Sub(b.began))
}

func (b *transferBar) draw(done, total int64, spent time.Duration) {
	const width = 30
	percent := 100 * float64(done) / float64(max(total, 1))
	text := fmt.Sprintf("%3.0f %%  %s of %s%s", percent, hub.Bytes(done), hub.Bytes(total), pace(done-b.first, total-done, spent))
	if !b.terminal {
		fmt.Fprintln(b.w, strings.TrimSpace(text))
		return
	}
	full := min(int(width*percent/100), width)
	fmt.Fprintf(b.w, "\r[%s%s] %s\x1b[K", strings.Repeat("=", full), strings.Repeat(" ", width-full), text)
	b.drawn = true
}

// pace tells the rate, and how long what is left takes at it.
func pace(brought, left int64, spent time.Duration) string {
	rate := float64(brought) / spent.Seconds()
	if spent < time.Millisecond || rate < 1 {
		return ""
	}
	text := ", " + hub.Bytes(int64(rate)) + "/s"
	if seconds := float64(left) / rate; left > 0 && seconds < 1e6 {
		text += ", " + (time.Duration(seconds) * time.Second).String() + " left"
	}
	return text
}

// retry tells that the connection broke.
func (b *transferBar) retry(why error, wait time.Duration) {
	b.close()
	fmt.Fprintf(b.w, "broken off: %v; trying again in %v\n", why, wait.Round(100*time.Millisecond))
}

// close ends the line on the terminal.
func (b *transferBar) close() {
	if b.drawn {
		fmt.Fprintln(b.w)
	}
	b.drawn = false
}
