package explorer

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// kind is what a column holds, and so how JSON shows it.
type kind uint8

const (
	number kind = iota + 1
	money       // nplx: a number, or a string above 2⁵³
	moment      // milliseconds: RFC 3339
	text
	words    // text: a list of its words
	document // text: the JSON that it is, or a string if it is none
	flag
)

// A column is a field of a list's items.
type column struct {
	name string
	kind kind
}

// A filter keeps the items whose column, or one of whose columns, has the value
// of a parameter. An index begins with each of the columns.
type filter struct {
	param   string
	columns []string
}

// A list is a table as the API shows it: pages of items, the newest or
// greatest first.
type list struct {
	name    string
	about   string
	columns []column
	key     []string // that orders the items, and is different in each
	id      string   // column that names an item, indexed; empty for none
	filters []filter
}

// The columns that many lists have.
var (
	height = column{"height", number}
	when   = column{"time", moment}
)

// lists are all lists, in the order in which the API tells of them.
var lists = []*list{
	{
		name: "blocks", about: "blocks, with what they minted and burned", key: []string{"height"}, id: "height",
		columns: []column{
			height, when,
			{"hash", text},
			{"proposer", text},
			{"txs", number},
			{"failed", number},
			{"minted", money},
			{"burned", money},
		},
	},
	{
		name: "txs", about: "transactions; error is empty for those that did what they should", key: []string{"height", "idx"}, id: "hash",
		columns: []column{
			height,
			{"idx", number},
			when,
			{"hash", text},
			{"signer", text},
			{"messages", words},
			{"memo", text},
			{"fee", money},
			{"payer", text},
			{"gas_wanted", number},
			{"gas_used", number},
			{"code", number},
			{"error", text},
		},
		filters: []filter{{"signer", []string{"signer"}}},
	},
	{
		name: "transfers", about: "coins that went from one account to another; kind is message, fee or block, tx is -1 for block",
		key: []string{"height", "idx"},
		columns: []column{
			height,
			{"idx", number},
			when,
			{"tx", number},
			{"kind", text},
			{"sender", text},
			{"recipient", text},
			{"amount", money},
		},
		filters: []filter{
			{"account", []string{"sender", "recipient"}},
			{"sender", []string{"sender"}},
			{"recipient", []string{"recipient"}},
			{"kind", []string{"kind"}},
		},
	},
	{
		name: "accounts", about: "accounts, the richest first; first and last are the heights of changes", key: []string{"balance", "address"}, id: "address",
		columns: []column{{"address", text}, {"balance", money}, {"first", number}, {"last", number}},
	},
	{
		name: "balances", about: "what an account had from each height on; give address", key: []string{"height", "address"},
		columns: []column{{"address", text}, height, {"balance", money}},
		filters: []filter{{"address", []string{"address"}}},
	},
	{
		name: "subnets", about: "subnets as they are; share is of 65535, price is that of a slot", key: []string{"netuid"}, id: "netuid",
		columns: subnetFields,
	},
	{
		name: "subnet_states", about: "subnets as they were: prices, shares, hyperparameters; give netuid", key: []string{"height", "netuid"},
		columns: subnetFields,
		filters: []filter{{"netuid", []string{"netuid"}}},
	},
	{
		name: "registrations", about: "slots and subnets that changed hands, and for what: kind is neuron, work, subnet, owner, dissolved or rotated", key: []string{"height", "idx"},
		columns: []column{
			height,
			{"idx", number},
			when,
			{"kind", text},
			{"netuid", number},
			{"uid", number},
			{"account", text},
			{"burned", money},
			{"replaced", text},
		},
		filters: []filter{{"netuid", []string{"netuid"}}, {"account", []string{"account"}}},
	},
	{
		name: "seats", about: "who has a slot from each height on", key: []string{"height", "netuid", "uid"},
		columns: []column{{"netuid", number}, {"uid", number}, height, {"account", text}},
		filters: []filter{{"account", []string{"account"}}},
	},
	{
		name: "epochs", about: "epochs of subnets; one with an error paid nothing", key: []string{"height", "netuid", "mechanism"},
		columns: []column{
			{"netuid", number},
			height,
			{"mechanism", number},
			when,
			{"number", number},
			{"pot", money},
			{"neurons", number},
			{"error", text},
		},
		filters: []filter{{"netuid", []string{"netuid"}}},
	},
	{
		name: "neurons", about: "what every epoch said of every neuron; proportions are of 65535; give account, or netuid with uid",
		key:     []string{"height", "netuid", "mechanism", "uid"},
		columns: neuronFields,
		filters: []filter{
			{"account", []string{"account"}},
			{"netuid", []string{"netuid"}},
			{"uid", []string{"uid"}},
			{"mechanism", []string{"mechanism"}},
		},
	},
	{
		name: "validators", about: "validators as they are, with their delegators' yield", key: []string{"stake", "operator"}, id: "operator",
		columns: validatorFields,
	},
	{
		name: "stakes", about: "validators' bonded stake from each height on; give operator", key: []string{"height", "operator"},
		columns: validatorFields,
		filters: []filter{{"operator", []string{"operator"}}},
	},
	{
		name:  "moves",
		about: "what became of stake; kind is create, delegate, undelegate, redelegate, cancel, matured, withdraw or slash", key: []string{"height", "idx"},
		columns: []column{
			height,
			{"idx", number},
			when,
			{"kind", text},
			{"delegator", text},
			{"validator", text},
			{"source", text},
			{"amount", money},
		},
		filters: []filter{{"delegator", []string{"delegator"}}, {"validator", []string{"validator"}}},
	},
	{
		name: "rewards", about: "what validators and their delegators got; yields are in 10⁻¹⁵ of stake", key: []string{"height", "operator"},
		columns: []column{
			{"operator", text},
			height, when,
			{"reward", money},
			{"commission", money},
			{"stake", money},
			{"total_reward", money},
			{"total_commission", money},
			{"total_yield", money},
		},
		filters: []filter{{"operator", []string{"operator"}}},
	},
	{
		name: "claims", about: "what miners and owners took out", key: []string{"height", "idx"},
		columns: []column{height, {"idx", number}, when, {"account", text}, {"amount", money}},
		filters: []filter{{"account", []string{"account"}}},
	},
	{
		name: "supply", about: "the supply without the bootstrap stake, the schedule, and what a subnet costs", key: []string{"height"},
		columns: []column{
			height, when,
			{"supply", money},
			{"minted", money},
			{"burned", money},
			{"bootstrap", money},
			{"unallocated", money},
			{"per_day", money},
			{"era", number},
			{"next_halving", moment},
			{"subnet_price", money},
		},
	},
}

var (
	subnetFields = []column{
		{"netuid", number},
		height,
		{"owner", text},
		{"kind", text},
		{"name", text},
		{"registered", number},
		{"neurons", number},
		{"epoch", number},
		{"tempo", number},
		{"next_epoch", number},
		{"share", number},
		{"pending", money},
		{"price", money},
		{"hyperparameters", document},
		{"kind_params", document},
	}
	neuronFields = []column{
		{"netuid", number},
		height,
		{"mechanism", number},
		{"uid", number},
		{"account", text},
		{"stake", money},
		{"active", flag},
		{"permit", flag},
		{"trust", number},
		{"consensus", number},
		{"incentive", number},
		{"dividends", number},
		{"validator_trust", number},
		{"server_emission", money},
		{"validator_emission", money},
	}
	validatorFields = []column{
		{"operator", text},
		height,
		{"account", text},
		{"moniker", text},
		{"stake", money},
		{"bonded", flag},
		{"jailed", flag},
	}
)

// kindOf returns the kind of a column of l; 0 if it has none of that name.
func (l *list) kindOf(name string) kind {
	for _, c := range l.columns {
		if c.name == name {
			return c.kind
		}
	}
	return 0
}

// The bounds of a page.
const (
	pageSize    = 50
	maxPageSize = 500
)

// A badRequest is what is wrong with what was asked, in words for who asked.
type badRequest struct{ string }

func (e badRequest) Error() string { return e.string }

// A query is a request for a page of a list.
type query struct {
	list   *list
	conds  []string // that hold for every item
	either []string // of which one holds; none means no such condition
	args   []any
	asc    bool
	limit  int
}

// parse reads the parameters of a request.
func (l *list) parse(params url.Values) (*query, error) {
	q := &query{list: l, limit: pageSize}
	for param, values := range params {
		if len(values) != 1 {
			return nil, badRequest{fmt.Sprintf("%s is given %d times; give it once", param, len(values))}
		}
		if err := q.param(param, values[0]); err != nil {
			return nil, err
		}
	}
	if cursor := params.Get("cursor"); cursor != "" {
		return q, q.after(cursor)
	}
	return q, nil
}

// param reads one parameter.
func (q *query) param(param, value string) error {
	switch param {
	case "cursor": // read when the order is known
	case "limit":
		n, err := strconv.Atoi(value)
		if err != nil || n < 1 || n > maxPageSize {
			return badRequest{fmt.Sprintf("limit %q: give a number from 1 to %d", value, maxPageSize)}
		}
		q.limit = n
	case "order":
		if value != "asc" && value != "desc" {
			return badRequest{fmt.Sprintf("order %q: give asc or desc", value)}
		}
		q.asc = value == "asc"
	case "from", "to":
		if q.list.kindOf("height") == 0 {
			return badRequest{fmt.Sprintf("%s has no heights to go %s", q.list.name, param)}
		}
		v, err := argument(param, value, number)
		if err != nil {
			return err
		}
		q.where("height", map[string]string{"from": ">=", "to": "<="}[param], v)
	default:
		return q.filter(param, value)
	}
	return nil
}

// filter reads a parameter that is a filter's.
func (q *query) filter(param, value string) error {
	i := slices.IndexFunc(q.list.filters, func(f filter) bool { return f.param == param })
	if i < 0 {
		return badRequest{fmt.Sprintf("%s knows no parameter %q; it knows %s", q.list.name, param, strings.Join(q.list.params(), ", "))}
	}
	columns := q.list.filters[i].columns
	v, err := argument(param, value, q.list.kindOf(columns[0]))
	if err != nil {
		return err
	}
	if len(columns) == 1 {
		q.where(columns[0], "=", v)
		return nil
	}
	q.args = append(q.args, v)
	for _, c := range columns {
		q.either = append(q.either, fmt.Sprintf("%s = $%d", c, len(q.args)))
	}
	return nil
}

// params returns the parameters that l knows.
func (l *list) params() []string {
	var all []string
	for _, f := range l.filters {
		all = append(all, f.param)
	}
	if l.kindOf("height") != 0 {
		all = append(all, "from", "to")
	}
	return append(all, "order", "limit", "cursor")
}

// where adds a condition.
func (q *query) where(column, op string, v any) {
	q.args = append(q.args, v)
	q.conds = append(q.conds, fmt.Sprintf("%s %s $%d", column, op, len(q.args)))
}

// argument reads a value that a column of a kind is compared with.
func argument(what, value string, k kind) (any, error) {
	if k == text {
		if len(value) > 200 {
			return nil, badRequest{fmt.Sprintf("%s has %d bytes; at most 200", what, len(value))}
		}
		return clean(value), nil
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return nil, badRequest{fmt.Sprintf("%s %q: give a whole number", what, value)}
	}
	return n, nil
}

// after skips what was on earlier pages.
func (q *query) after(cursor string) error {
	parts := strings.Split(cursor, ".")
	if len(parts) != len(q.list.key) {
		return badRequest{fmt.Sprintf("cursor %q is none that %s gave", cursor, q.list.name)}
	}
	var marks []string
	for i, part := range parts {
		v, err := argument("cursor", part, q.list.kindOf(q.list.key[i]))
		if err != nil {
			return badRequest{fmt.Sprintf("cursor %q is none that %s gave", cursor, q.list.name)}
		}
		q.args = append(q.args, v)
		marks = append(marks, fmt.Sprintf("$%d", len(q.args)))
	}
	op := "<"
	if q.asc {
		op = ">"
	}
	q.conds = append(q.conds, fmt.Sprintf("(%s) %s (%s)", strings.Join(q.list.key, ", "), op, strings.Join(marks, ", ")))
	return nil
}

// sql returns the statement that finds one item more than the page has. Where
// either of two conditions holds, both are searched by their own index.
func (q *query) sql() string {
	var names []string
	for _, c := range q.list.columns {
		names = append(names, c.name)
	}
	columns := strings.Join(names, ", ")
	direction := " DESC"
	if q.asc {
		direction = ""
	}
	tail := fmt.Sprintf(" ORDER BY %s%s LIMIT %d", strings.Join(q.list.key, direction+", "), direction, q.limit+1)
	one := func(conds []string) string {
		s := "SELECT " + columns + " FROM " + q.list.name
		if len(conds) > 0 {
			s += " WHERE " + strings.Join(conds, " AND ")
		}
		return s + tail
	}
	if len(q.either) == 0 {
		return one(q.conds)
	}
	var parts []string
	for i, e := range q.either {
		parts = append(parts, fmt.Sprintf("SELECT * FROM (%s) AS part%d", one(append([]string{e}, q.conds...)), i))
	}
	return "SELECT * FROM (" + strings.Join(parts, " UNION ") + ") AS parts" + tail
}

// A page is a part of a list.
type page struct {
	Items []object `json:"items"`
	Next  string   `json:"next,omitempty"` // cursor of the next page; empty on the last
}

// page runs a query.
func (x *Index) page(ctx context.Context, q *query) (*page, error) {
	p := &page{Items: []object{}}
	err := each(ctx, x.read, q.sql(), func(scan func(...any) error) error {
		o, err := q.list.scan(scan)
		p.Items = append(p.Items, o)
		return err
	}, q.args...)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", q.list.name, err)
	}
	if len(p.Items) > q.limit {
		p.Items = p.Items[:q.limit]
		p.Next = q.list.cursor(p.Items[q.limit-1])
	}
	return p, nil
}

// one returns the item that is named id, or nil if there is none.
func (x *Index) one(ctx context.Context, l *list, id string) (object, error) {
	v, err := argument(l.id, id, l.kindOf(l.id))
	if err != nil {
		return nil, err
	}
	q := &query{list: l, limit: 1}
	q.where(l.id, "=", v)
	p, err := x.page(ctx, q)
	if err != nil || len(p.Items) == 0 {
		return nil, err
	}
	return p.Items[0], nil
}

// cursor returns the place of an item in its list.
func (l *list) cursor(o object) string {
	var parts []string
	for _, k := range l.key {
		parts = append(parts, fmt.Sprint(o.raw(k)))
	}
	return strings.Join(parts, ".")
}

// scan reads one row.
func (l *list) scan(scan func(...any) error) (object, error) {
	o := make(object, len(l.columns))
	into := make([]any, len(l.columns))
	for i, c := range l.columns {
		o[i].column = c
		switch c.kind {
		case text, words, document:
			into[i] = new(string)
		case flag:
			into[i] = new(sql.NullBool)
		default:
			into[i] = new(int64)
		}
		o[i].value = into[i]
	}
	if err := scan(into...); err != nil {
		return nil, err
	}
	for i := range o {
		switch v := o[i].value.(type) {
		case *string:
			o[i].value = *v
		case *sql.NullBool:
			o[i].value = v.Bool
		case *int64:
			o[i].value = *v
		}
	}
	return o, nil
}

// An object is an item with its fields in order.
type object []field

// A field is a column with its value: a string, an int64 or a bool.
type field struct {
	column
	value any
}

// raw returns the value of a field; nil if there is none.
func (o object) raw(name string) any {
	for _, f := range o {
		if f.name == name {
			return f.value
		}
	}
	return nil
}

// MarshalJSON writes the fields in order.
func (o object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, f := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		v, err := json.Marshal(f.shown())
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "%q:%s", f.name, v)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// exact is the greatest integer that every reader of JSON holds exactly.
const exact = 1 << 53

// shown returns the value as JSON shows it.
func (f field) shown() any {
	switch v := f.value.(type) {
	case int64:
		if f.kind == moment {
			return time.UnixMilli(v).UTC().Format(time.RFC3339Nano)
		}
		if v > exact || v < -exact {
			return strconv.FormatInt(v, 10)
		}
		return v
	case string:
		if f.kind == words {
			return append([]string{}, strings.Fields(v)...)
		}
		if f.kind == document && json.Valid([]byte(v)) {
			return json.RawMessage(v)
		}
		return v
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil
		}
		return v
	default:
		return v
	}
}

// findList returns the list of a name, nil if there is none.
func findList(name string) *list {
	i := slices.IndexFunc(lists, func(l *list) bool { return l.name == name })
	if i < 0 {
		return nil
	}
	return lists[i]
}

// isSlow tells whether a query ran out of time.
func isSlow(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), "interrupted")
}
