package parity

import (
	"fmt"
	"reflect"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// fill sets every field to a value of its own. Types of Kubernetes itself, which
// both sides share, are filled where a value is short, because they are deep.
func fill(v reflect.Value, n *int, depth int) {
	*n++
	switch x := v.Addr().Interface().(type) {
	case *metav1.Time:
		*x = metav1.NewTime(time.Unix(int64(1_700_000_000+*n), 0).UTC())
		return
	case *resource.Quantity:
		*x = resource.MustParse(fmt.Sprint(*n))
		return
	case *intstr.IntOrString:
		*x = intstr.FromInt32(int32(*n))
		return
	case *metav1.ObjectMeta:
		x.Name, x.Namespace = fmt.Sprint("name-", *n), "space"
		x.Labels, x.Annotations = map[string]string{"a": "b"}, map[string]string{"c": "d"}
		return
	}
	shared := strings.HasPrefix(v.Type().PkgPath(), "k8s.io/")
	if shared && depth > 12 {
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fill(v.Field(i), n, depth+1)
			}
		}
	case reflect.Pointer:
		if depth > 14 {
			return
		}
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n, depth+1)
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 || depth > 14 {
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), n, depth+1)
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key, n, depth+1)
		fill(value, n, depth+1)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.String:
		v.SetString(fmt.Sprint("v", *n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(int64(*n))
	}
}
