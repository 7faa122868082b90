package archtest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Shell checks the commands that our documents tell people to type, without
// running them. It knows the forms that we use: make, go run, go test, go vet,
// go get, git clone and cd.
type Shell struct {
	Root   string // of the tree
	Module string // its path, which is its address without the scheme
	Temp   string // a folder for programs that are built to ask for their flags

	flags map[string][]string // by build tags and package
}

var (
	makeTarget  = regexp.MustCompile(`(?m)^([a-z][a-z-]*):`)
	makeSetting = regexp.MustCompile(`(?m)^([A-Z]+) *[:?]?=`)
	flagHelp    = regexp.MustCompile(`(?m)^\t-([a-z]+)`)
	flagUsage   = regexp.MustCompile(`(?m)^  -([a-z][a-z0-9.-]*)`)
)

// Check returns an error when the command would not do what a reader expects.
func (s *Shell) Check(ctx context.Context, command string) error {
	words := strings.Fields(command)
	if i := slices.IndexFunc(words, func(w string) bool { return strings.HasPrefix(w, "#") }); i >= 0 {
		words = words[:i]
	}
	for len(words) > 0 && regexp.MustCompile(`^[A-Z_]+=`).MatchString(words[0]) {
		words = words[1:]
	}
	if len(words) > 0 && words[0] == "make" {
		return s.checkMake(words[1:])
	}
	if len(words) < 2 {
		return fmt.Errorf("%q is no command that this test knows", command)
	}
	switch words[0] + " " + words[1] {
	case "go run":
		return s.checkRun(ctx, words[2:])
	case "go test", "go vet":
		if err := s.checkTestFlags(ctx, words[1:]); err != nil {
			return err
		}
		// -n prints what would be done, after looking for the packages.
		_, err := goCommand(ctx, s.Root, nil, slices.Insert(words[1:], 1, "-n")...)
		return err
	case "go get":
		if path, _, _ := strings.Cut(strings.Join(words[2:], " "), "@"); path != s.Module {
			return fmt.Errorf("%q gets another module than %s", command, s.Module)
		}
		return nil
	case "git clone":
		if strings.TrimSuffix(strings.Join(words[2:], " "), ".git") != "https://"+s.Module {
			return fmt.Errorf("%q clones another repository than https://%s", command, s.Module)
		}
		return nil
	case "cd " + filepath.Base(s.Module):
		return nil
	}
	return fmt.Errorf("%q is no command that this test knows", command)
}

func (s *Shell) checkMake(words []string) error {
	data, err := os.ReadFile(filepath.Join(s.Root, "Makefile"))
	if err != nil {
		return err
	}
	targets := makeTarget.FindAllStringSubmatch(string(data), -1)
	settings := makeSetting.FindAllStringSubmatch(string(data), -1)
	named := func(list [][]string, word string) bool {
		return slices.ContainsFunc(list, func(m []string) bool { return m[1] == word })
	}
	for _, word := range words {
		setting, _, isSetting := strings.Cut(word, "=")
		if isSetting && !named(settings, setting) {
			return fmt.Errorf("the Makefile has no setting %s", setting)
		}
		if !isSetting && !named(targets, word) {
			return fmt.Errorf("the Makefile has no target %s", word)
		}
	}
	return nil
}

// checkTestFlags holds the flags of go test against its help: the tool hands on
// those that it does not know, to the tests.
func (s *Shell) checkTestFlags(ctx context.Context, words []string) error {
	if words[0] != "test" {
		return nil
	}
	var help []byte
	for _, topic := range []string{"testflag", "build"} {
		out, err := goCommand(ctx, s.Root, nil, "help", topic)
		if err != nil {
			return err
		}
		help = append(help, out...)
	}
	known := flagHelp.FindAllStringSubmatch(string(help), -1)
	for _, word := range words[1:] {
		name, isFlag := strings.CutPrefix(word, "-")
		name, _, _ = strings.Cut(name, "=")
		if isFlag && !slices.ContainsFunc(known, func(m []string) bool { return m[1] == name }) {
			return fmt.Errorf("go test has no flag -%s", name)
		}
	}
	return nil
}

// checkRun builds the program and asks it for its flags.
func (s *Shell) checkRun(ctx context.Context, words []string) error {
	tags := "-tags="
	if len(words) > 1 && words[0] == "-tags" {
		tags, words = tags+words[1], words[2:]
	}
	if len(words) == 0 || !strings.HasPrefix(words[0], "./") {
		return fmt.Errorf("go run %s: want a package of this tree", strings.Join(words, " "))
	}
	pkg := words[0]
	known, ok := s.flags[tags+pkg]
	if !ok {
		program := filepath.Join(s.Temp, strings.ReplaceAll(pkg[2:], "/", "-"))
		if _, err := goCommand(ctx, s.Root, nil, "build", tags, "-o", program, pkg); err != nil {
			return err
		}
		usage, err := exec.CommandContext(ctx, program, "-h").CombinedOutput()
		if err != nil {
			return fmt.Errorf("%s -h: %w\n%s", pkg, err, usage)
		}
		for _, m := range flagUsage.FindAllStringSubmatch(string(usage), -1) {
			known = append(known, m[1])
		}
		if s.flags == nil {
			s.flags = map[string][]string{}
		}
		s.flags[tags+pkg] = known
	}
	for _, word := range words[1:] {
		name, _, _ := strings.Cut(strings.TrimLeft(word, "-"), "=")
		if strings.HasPrefix(word, "-") && name != "h" && !slices.Contains(known, name) {
			return fmt.Errorf("%s has no flag -%s, it has %v", pkg, name, known)
		}
	}
	return nil
}
