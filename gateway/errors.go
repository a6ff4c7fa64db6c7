package gateway

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// problem is an error as the OpenAI API shows it. Clients choose their error
// class by the status and read the four fields.
type problem struct {
	status  int
	retry   time.Duration // when trying again makes sense; 0 says nothing
	message string
	kind    string // "type" on the wire
	param   string
	code    string
}

func (p *problem) Error() string { return p.message }

// MarshalJSON writes the error object with all four fields; param and code are
// null when they say nothing.
func (p *problem) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Error errorFields `json:"error"`
	}{p.fields()})
}

// errorFields are what clients read of an error.
type errorFields struct {
	Message string  `json:"message"`
	Type    string  `json:"type"`
	Param   *string `json:"param"`
	Code    *string `json:"code"`
}

func (p *problem) fields() errorFields {
	return errorFields{p.message, p.kind, optional(p.param), optional(p.code)}
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// The kinds of error that the OpenAI API knows.
const (
	kindInvalid = "invalid_request_error"
	kindLimit   = "rate_limit_error"
	kindServer  = "server_error"
)

// invalid is a request that names param wrongly.
func invalid(param, format string, args ...any) *problem {
	return &problem{status: http.StatusBadRequest, kind: kindInvalid, param: param, message: fmt.Sprintf(format, args...)}
}

// unsupported is a request for something that the network cannot do yet.
func unsupported(param, format string, args ...any) *problem {
	p := invalid(param, format, args...)
	p.code = "unsupported_parameter"
	return p
}

func noModel(name string, models []*Model) *problem {
	return &problem{
		status: http.StatusNotFound, kind: kindInvalid, param: "model", code: "model_not_found",
		message: fmt.Sprintf("the model %q is not offered here; %q is, and GET /v1/models lists all", name, models[0].Name),
	}
}

func tooBig(limit int64) *problem {
	return &problem{
		status: http.StatusRequestEntityTooLarge, kind: kindInvalid, code: "request_too_large",
		message: fmt.Sprintf("the request is over %d bytes; send less", limit),
	}
}

func busy(running, waiting int, retry time.Duration) *problem {
	return &problem{
		status: http.StatusTooManyRequests, kind: kindLimit, code: "rate_limit_exceeded", retry: retry,
		message: fmt.Sprintf("the gateway is answering %d requests and %d wait, which is all it takes; try again in %v",
			running, waiting, retry.Round(time.Second)),
	}
}

func noMiners(model string) *problem {
	return &problem{
		status: http.StatusServiceUnavailable, kind: kindServer, code: "no_miners", retry: 2 * time.Second,
		message: fmt.Sprintf("no miner of %s can be reached now; try again in a few seconds", model),
	}
}

func tooPicky(want, best float64) *problem {
	return &problem{
		status: http.StatusServiceUnavailable, kind: kindServer, param: "plexus.min_score", code: "no_miners", retry: 2 * time.Second,
		message: fmt.Sprintf("no miner has a score of %.4g; the best that can be asked has %.4g: lower plexus.min_score", want, best),
	}
}

// unverified says that no answer was examined that plexus.verified_only wants.
func unverified(asked int, last string) *problem {
	return &problem{
		status: http.StatusBadGateway, kind: kindServer, code: "not_verified", retry: time.Second,
		message: fmt.Sprintf("none of the %d miners asked gave an answer that could be verified: %s; leave plexus.verified_only out to see it all the same", asked, last),
	}
}

// noAnswer says that every miner that was asked failed, and how the last did.
func noAnswer(asked int, last string) *problem {
	return &problem{
		status: http.StatusBadGateway, kind: kindServer, code: "no_answer", retry: time.Second,
		message: fmt.Sprintf("none of the %d miners asked gave an answer that holds: %s", asked, last),
	}
}

// brokenOff says that an answer ended early, and why.
func brokenOff(last string) *problem {
	return &problem{
		status: http.StatusBadGateway, kind: kindServer, code: "answer_broken",
		message: "the answer broke off and no other miner could go on with it: " + last + "; ask again",
	}
}

func timedOut(after time.Duration) *problem {
	return &problem{
		status: http.StatusGatewayTimeout, kind: kindServer, code: "timeout",
		message: fmt.Sprintf("no miner answered within %v; ask for fewer tokens or try again", after),
	}
}

var errInternal = &problem{
	status: http.StatusInternalServerError, kind: kindServer, code: "internal_error",
	message: "the gateway failed on this request; its log says more under the x-request-id of this answer",
}

// write sends p as the whole response.
func (p *problem) write(w http.ResponseWriter) {
	if p.retry > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int((p.retry+time.Second-1)/time.Second)))
		w.Header().Set("Retry-After-Ms", strconv.FormatInt(p.retry.Milliseconds(), 10))
	}
	if p.status >= http.StatusInternalServerError || p.status == http.StatusTooManyRequests {
		w.Header().Set("X-Should-Retry", strconv.FormatBool(p.retry > 0))
	}
	writeJSON(w, p.status, worded(w, p))
}

// writeJSON sends v as the whole response. A client that went away is no error
// of ours.
func writeJSON(w http.ResponseWriter, status int, v any) {
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(err) // what the gateway answers always has a JSON form
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(body.Len()))
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes())
}
