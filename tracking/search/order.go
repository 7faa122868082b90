package search

import "strings"

const orderClause = "order_by"

// Order parses the keys of an order, most significant first. A key twice is an
// error, whatever its directions and spellings.
func (g *Grammar) Order(keys []string) ([]Order, error) {
	if len(keys) > MaxOrderKeys {
		return nil, (&scanner{in: orderClause}).errorf(0, "found %d keys, at most %d are allowed", len(keys), MaxOrderKeys)
	}
	var orders []Order
	for _, key := range keys {
		o, err := g.order(key)
		if err != nil {
			return nil, err
		}
		if orders, err = appendOrder(orders, o, key); err != nil {
			return nil, err
		}
	}
	return orders, nil
}

func appendOrder(orders []Order, o Order, key string) ([]Order, error) {
	for _, before := range orders {
		if before.Entity == o.Entity && before.Key == o.Key {
			return nil, (&scanner{in: orderClause}).errorf(0, "`order_by` contains duplicate fields: '%s' comes twice", key)
		}
	}
	return append(orders, o), nil
}

// order parses one key with an optional direction.
func (g *Grammar) order(text string) (Order, error) {
	if err := checkText(orderClause, text, maxOrderBytes); err != nil {
		return Order{}, err
	}
	p := &parser{scanner: scanner{text: text, in: orderClause}, g: g}
	p.skipSpace()
	entity, key, _, err := p.identifier(true)
	if err != nil {
		return Order{}, err
	}
	o := Order{Entity: entity, Key: key}
	end := p.at
	p.skipSpace()
	start := p.at
	if p.next() == 0 {
		return o, nil
	}
	word := p.take(isLetter)
	switch {
	case word == "" || start == end:
		return Order{}, p.errorf(start, "Invalid order_by clause '%s': found %s, expected ASC, DESC or the end", text, p.found(start))
	case strings.EqualFold(word, "DESC"):
		o.Desc = true
	case !strings.EqualFold(word, "ASC"):
		return Order{}, p.errorf(start, "Invalid ordering key '%s' in order_by clause '%s', expected ASC or DESC", word, text)
	}
	p.skipSpace()
	if p.next() != 0 {
		return Order{}, p.errorf(p.at, "Invalid order_by clause '%s': found %s, expected the end", text, p.found(p.at))
	}
	return o, nil
}

// OrderField parses a field that comes apart from its direction, as in the
// order of logged models: a name like "creation_timestamp", or "metrics." with
// a key, which stands without quotes and is taken to the end.
func (g *Grammar) OrderField(name string, desc bool) (Order, error) {
	if err := checkText(orderClause, name, maxOrderBytes); err != nil {
		return Order{}, err
	}
	p := &parser{scanner: scanner{text: name, in: orderClause}, g: g}
	entity, key := Attribute, strings.TrimSpace(name)
	if before, after, dotted := strings.Cut(name, "."); dotted {
		e, known := g.entities[before]
		if !known {
			return Order{}, p.errorf(0, "Invalid order by field name: '%s', expected an attribute or metrics.<key>", name)
		}
		entity, key = e, after
		if n := len(key); n > 2 && key[0] == '`' && key[n-1] == '`' {
			key = key[1 : n-1]
		}
	}
	if key == "" {
		return Order{}, p.errorf(0, "Invalid order by field name: '%s', expected an attribute or metrics.<key>", name)
	}
	to, canonical, _, ok, expected := g.lookup(entity, key, true)
	if !ok {
		return Order{}, p.errorf(0, "Invalid order by field name: '%s', expected one of %s", name, expected)
	}
	return Order{Entity: to, Key: canonical, Desc: desc}, nil
}
