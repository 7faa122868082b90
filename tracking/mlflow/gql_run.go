package mlflow

import (
	"encoding/json"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/millwright-ml/millwright/internal/mlflowapi"
	"github.com/millwright-ml/millwright/internal/mlflowhttp"
)

// gqlRequest is one execution.
type gqlRequest struct {
	doc       *gqlDocument
	op        *gqlOperation
	variables map[string]json.RawMessage
	errors    []string
	// written counts selections, so that fragments spread many times stay
	// within the bound of the document.
	planned int
}

// operation returns the operation to run.
func (d *gqlDocument) operation(name string) (*gqlOperation, error) {
	if name == "" && len(d.operations) == 1 {
		return d.operations[0], nil
	}
	for _, op := range d.operations {
		if op.name == name && name != "" {
			return op, nil
		}
	}
	if name == "" {
		return nil, gqlErrorf("Must provide operation name if query contains multiple operations.")
	}
	return nil, gqlErrorf("Unknown operation named '%s'.", mlflowhttp.Printable(name))
}

// gqlField is one entry of an answer: all selections of one response key
// merged, with the spreads resolved.
type gqlField struct {
	key       string
	name      string
	arguments []gqlArgument
	fields    []gqlField
}

// plan resolves the selections on an object of the type.
func (q *gqlRequest) plan(typ string, selection []gqlSelection, depth int) ([]gqlField, error) {
	if depth > maxDepth {
		return nil, gqlErrorf("Query exceeds maximum depth of %d", maxDepth)
	}
	var list []gqlField
	var under [][]gqlSelection // what is selected of each field
	aliases := 0
	err := q.collect(typ, selection, map[string]bool{}, func(s *gqlSelection) error {
		if q.planned++; q.planned > maxSelections {
			return gqlErrorf("Query exceeds maximum total selections of %d", maxSelections)
		}
		key := s.name
		if s.alias != "" {
			key = s.alias
			if aliases++; aliases > maxAliases {
				return gqlErrorf("GraphQL queries should have at most %d aliases", maxAliases)
			}
		}
		for i := range list {
			if list[i].key != key {
				continue
			}
			if list[i].name != s.name || !reflect.DeepEqual(list[i].arguments, s.arguments) {
				return gqlErrorf("Fields '%s' conflict because they have different names or arguments.", mlflowhttp.Printable(key))
			}
			under[i] = append(under[i], s.selection...)
			return nil
		}
		list = append(list, gqlField{key: key, name: s.name, arguments: s.arguments})
		under = append(under, slices.Clip(s.selection))
		return nil
	})
	if err != nil {
		return nil, err
	}
	for i := range list {
		f := &list[i]
		if f.name == "__typename" {
			continue
		}
		inner, ok := gqlTypes[typ][f.name]
		switch {
		case !ok:
			return nil, gqlErrorf("Cannot query field '%s' on type '%s'.", mlflowhttp.Printable(f.name), typ)
		case inner == "" && len(under[i]) > 0:
			return nil, gqlErrorf("Field '%s' must not have a selection since it has no subfields.", mlflowhttp.Printable(f.name))
		case inner == "":
			continue
		case len(under[i]) == 0:
			return nil, gqlErrorf("Field '%s' of type '%s' must have a selection of subfields.", mlflowhttp.Printable(f.name), inner)
		}
		if f.fields, err = q.plan(inner, under[i], depth+1); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// collect calls visit for every field that is selected on the type, through
// fragments. open has the fragments that were entered: each counts once.
func (q *gqlRequest) collect(typ string, selection []gqlSelection, open map[string]bool, visit func(*gqlSelection) error) error {
	for i := range selection {
		s := &selection[i]
		skip, err := q.skipped(s.directives)
		if err != nil {
			return err
		}
		if skip {
			continue
		}
		switch {
		case s.spread != "":
			f := q.doc.fragments[s.spread]
			if f == nil {
				return gqlErrorf("Unknown fragment '%s'.", mlflowhttp.Printable(s.spread))
			}
			if open[s.spread] || f.on != typ {
				continue
			}
			open[s.spread] = true
			err = q.collect(typ, f.selection, open, visit)
		case s.inline:
			if s.on == "" || s.on == typ {
				err = q.collect(typ, s.selection, open, visit)
			}
		default:
			err = visit(s)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// skipped evaluates @skip and @include. Other directives mean nothing here.
func (q *gqlRequest) skipped(directives []gqlDirective) (bool, error) {
	for _, d := range directives {
		if d.name != "skip" && d.name != "include" {
			continue
		}
		if len(d.arguments) != 1 || d.arguments[0].name != "if" {
			return false, gqlErrorf("Directive '@%s' needs the argument 'if'.", d.name)
		}
		text, err := q.appendJSON(nil, d.arguments[0].value)
		if err != nil {
			return false, err
		}
		switch {
		case string(text) != "true" && string(text) != "false":
			return false, gqlErrorf("Argument 'if' of '@%s' must be a Boolean.", d.name)
		case (string(text) == "true") == (d.name == "skip"):
			return true, nil
		}
	}
	return false, nil
}

// appendJSON appends a value of the document as JSON, with the variables put
// in.
func (q *gqlRequest) appendJSON(dst []byte, v gqlValue) ([]byte, error) {
	var err error
	switch v.kind {
	case '$':
		byDefault, declared := q.op.defaults[v.text]
		if !declared {
			return nil, gqlErrorf("Variable '$%s' is not defined.", mlflowhttp.Printable(v.text))
		}
		if raw, ok := q.variables[v.text]; ok {
			return append(dst, raw...), nil
		}
		if byDefault.kind == 0 || byDefault.kind == '$' {
			return append(dst, "null"...), nil
		}
		return q.appendJSON(dst, byDefault)
	case 'n':
		return append(dst, v.text...), nil
	case 'w':
		if v.text == "true" || v.text == "false" || v.text == "null" {
			return append(dst, v.text...), nil
		}
		return mlflowapi.AppendText(dst, v.text), nil // an enum's name
	case '[':
		dst = append(dst, '[')
		for i, e := range v.list {
			if i > 0 {
				dst = append(dst, ',')
			}
			if dst, err = q.appendJSON(dst, e); err != nil {
				return nil, err
			}
		}
		return append(dst, ']'), nil
	case '{':
		dst = append(dst, '{')
		for i, f := range v.fields {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(mlflowapi.AppendText(dst, f.name), ':')
			if dst, err = q.appendJSON(dst, f.value); err != nil {
				return nil, err
			}
		}
		return append(dst, '}'), nil
	}
	return mlflowapi.AppendText(dst, v.text), nil
}

// input decodes the argument "input" of a field into a message.
func (q *gqlRequest) input(f *gqlField, msg any) error {
	text := []byte("{}")
	for _, a := range f.arguments {
		if a.name != "input" {
			return gqlErrorf("Unknown argument '%s' on field '%s'.", mlflowhttp.Printable(a.name), mlflowhttp.Printable(f.name))
		}
		var err error
		if text, err = q.appendJSON(nil, a.value); err != nil {
			return err
		}
	}
	return mlflowapi.DecodeRequest(text, msg)
}

// object appends a struct as the object that fields select. A field of the
// struct is found by its JSON name in camel case; one that the struct lacks is
// null.
func (q *gqlRequest) object(dst []byte, typ string, v reflect.Value, fields []gqlField) []byte {
	dst = append(dst, '{')
	for i := range fields {
		f := &fields[i]
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(mlflowapi.AppendText(dst, f.key), ':')
		if f.name == "__typename" {
			dst = mlflowapi.AppendText(dst, typ)
			continue
		}
		dst = q.value(dst, gqlTypes[typ][f.name], goField(v, f.name), f.fields)
	}
	return append(dst, '}')
}

// goField returns the field of a struct with the GraphQL name.
func goField(v reflect.Value, name string) reflect.Value {
	t := v.Type()
	for i := range t.NumField() {
		tag, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if strings.EqualFold(strings.ReplaceAll(tag, "_", ""), name) {
			return v.Field(i)
		}
	}
	return reflect.Value{}
}

func (q *gqlRequest) value(dst []byte, typ string, v reflect.Value, fields []gqlField) []byte {
	switch v.Kind() {
	case reflect.Struct:
		return q.object(dst, typ, v, fields)
	case reflect.Pointer:
		if v.IsNil() {
			return append(dst, "null"...)
		}
		return q.value(dst, typ, v.Elem(), fields)
	case reflect.Slice:
		dst = append(dst, '[')
		for i := range v.Len() {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = q.value(dst, typ, v.Index(i), fields)
		}
		return append(dst, ']')
	case reflect.Int64: // the browser's numbers end at 2^53
		return append(strconv.AppendInt(append(dst, '"'), v.Int(), 10), '"')
	case reflect.Float64:
		if f := v.Float(); math.IsNaN(f) || math.IsInf(f, 0) {
			return append(dst, "null"...) // GraphQL has no such number
		}
		return mlflowapi.AppendFloat(dst, v.Float())
	case reflect.String:
		if v.Len() == 0 && v.Type() != reflect.TypeFor[string]() {
			return append(dst, "null"...) // an enum that is not set
		}
		return mlflowapi.AppendText(dst, v.String())
	case reflect.Bool:
		return strconv.AppendBool(dst, v.Bool())
	}
	return append(dst, "null"...)
}
