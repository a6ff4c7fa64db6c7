package gateway

import (
	"time"
	"unicode/utf8"

	"github.com/plexus-network/plexus/subnet/text"
)

// A choice is one of a stream's answers: what one miner says, and where that
// dies others in turn. It is empty, then open, and then done or broken.
type choice struct {
	*relay
	index int

	ask    text.Request // what its first miner was asked
	legs   []*leg       // whose text goes out, in order; the last one speaks
	due    time.Time    // when the speaker will have been silent for too long
	lastAt time.Time    // when text went out last
	spoken bool         // its opening chunk is out
	text   int          // bytes of the last leg that went out
	tokens int          // tokens of the last leg that went out
	offset int          // characters of all legs that went out
	done   bool         // all of its text is out
	ended  bool         // and its end
	broken error        // why there is no end
}

func (c *choice) empty() bool { return len(c.legs) == 0 }

func (c *choice) open() bool { return len(c.legs) > 0 && !c.done && c.broken == nil }

// give makes l the speaker.
func (c *choice) give(l *leg) {
	if c.empty() {
		c.ask = l.ask
	}
	l.given = true
	c.legs = append(c.legs, l)
	c.text, c.tokens = 0, 0
	c.due = time.Now().Add(c.patience())
}

// speaker is the leg whose text goes out, nil before there is one.
func (c *choice) speaker() *leg {
	if len(c.legs) == 0 {
		return nil
	}
	return c.legs[len(c.legs)-1]
}

// patience is how long the speaker may be silent.
func (c *choice) patience() time.Duration {
	return c.round.model.routing.class.stallAfter(c.speaker().first > 0, c.g.limits.Stall)
}

// giveUp ends a speaker that has been silent for too long. Where nobody could
// go on for it, it has all the time there is.
func (c *choice) giveUp() {
	l := c.speaker()
	if l.state != running {
		return
	}
	patience := c.g.limits.Stall
	if c.replaceable(l) {
		patience = c.patience() // what is usual may have changed meanwhile
	}
	if left := patience - l.silent(); left > 0 {
		c.due = time.Now().Add(left)
		return
	}
	c.round.giveUp(l)
}

// speak sends what the speaker has said. It finds another speaker when the one
// there is has died.
func (c *choice) speak() error {
	for c.open() {
		l := c.speaker()
		if err := c.pass(l); err != nil {
			return err
		}
		switch l.state {
		case running:
			return nil
		case failed:
			if !c.takeOver(l) {
				c.broken = brokenOff(c.round.lastWord())
			}
		case complete, judged, cancelled:
			c.done = true
			return c.endEarly()
		}
	}
	return nil
}

// pass sends what the speaker said since the last time.
func (c *choice) pass(l *leg) error {
	said := l.text.String()[c.text:]
	tokens := l.tokens[c.tokens:]
	if said == "" && (len(tokens) == 0 || l.state == running) {
		return nil
	}
	if !c.begun {
		c.round.report(c.id, c.given()...).headers(c.out.w.Header())
	}
	if !c.spoken {
		said = c.round.prompt.echo + said
	}
	if bad := spend(c.round.ctx, c.counted(c)); bad != nil {
		return bad
	}
	c.say.say(piece{index: c.index, text: said, tokens: tokens, offset: c.offset}, !c.spoken)
	if err := c.out.flush(); err != nil {
		return err
	}
	if !c.begun {
		c.g.metrics.firstToken.Observe(time.Since(c.began).Seconds())
	}
	c.begun, c.spoken = true, true
	c.resumed(l)
	c.lastAt = time.Now()
	c.text, c.tokens, c.offset = l.text.Len(), len(l.tokens), c.offset+utf8.RuneCountInString(said)
	return nil
}

// endEarly ends a choice while others go on. The last one ends with the stream.
func (c *choice) endEarly() error {
	for _, o := range c.choices {
		if o != c && (o.empty() || o.open()) {
			c.end(nil)
			return c.out.flush()
		}
	}
	return nil
}

// end sends why the answer ended.
func (c *choice) end(told *report) {
	last := c.speaker()
	end := piece{index: c.index, finish: last.finish, offset: c.offset, stopped: last.stopped(&c.round.prompt)}
	c.say.end(end, !c.spoken, told)
	c.ended = true
}

// sent is the usage of what went out so far.
func (c *choice) sent() usage {
	last := c.speaker()
	if last == nil {
		return usage{}
	}
	p := &c.round.prompt
	u := usageOf(p, c.legs...)
	u.Completion += p.count(last.tokens[:min(c.tokens, len(last.tokens))], last.text.String()[:c.text], 0) - last.count(p)
	u.Total = u.Prompt + u.Completion
	return u
}
