package cppsource

import "testing"

func TestCalls(t *testing.T) {
	src := `// check("no")
TEST_F(suite, first) {
	std::string in = "one " // why
		"two";
	in = in + "";
	check(in, "a\"b\n\x41");
	check(R"x(raw ")" \n)x", f(1, 2) + "z");
	parser p("decl");
}`
	got := Calls(src, "check", "parser")
	if len(got) != 3 {
		t.Fatalf("got %d calls: %+v", len(got), got)
	}
	if a := got[0].Args; len(a) != 2 || a[0].Text != "one two" || a[1].Text != "a\"b\nA" || got[0].Test != "first" || got[0].Line != 6 {
		t.Errorf("first call: %+v", got[0])
	}
	if a := got[1].Args; len(a) != 2 || a[0].Text != `raw ")" \n` || a[1].Literal {
		t.Errorf("second call: %+v", got[1])
	}
	if a := got[2].Args; len(a) != 1 || a[0].Text != "decl" {
		t.Errorf("third call: %+v", got[2])
	}
}
