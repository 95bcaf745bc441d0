/* man: see man.h. The macros are those of man(7). */
#include "bench/util/man.h"

#include <stdio.h>

/* A '-' is an option's dash and not a hyphen; a line may break after '|'; one that begins with '.'
 * or "'" is no macro. */
static void text(const char *s)
{
    bool line_start = true;
    for (; *s; s++) {
        if (line_start && (*s == '.' || *s == '\''))
            fputs("\\&", stdout);
        if (*s == '-')
            fputs("\\-", stdout);
        else if (*s == '\\')
            fputs("\\e", stdout);
        else if (*s == '|')
            fputs("|\\:", stdout);
        else
            putchar(*s);
        line_start = *s == '\n';
    }
}

static void font(char name, const char *s)
{
    printf("\\f%c", name);
    text(s);
    fputs("\\fR", stdout);
}

void man_page_begin(const char *version, const char *description)
{
    printf(".TH TARE 1 \"\" \"tare %s\" \"User Commands\"\n.nh\n.ad l\n.SH NAME\ntare \\- ",
           version);
    text(description);
    printf("\n.SH SYNOPSIS\n\\fBtare\\fR \\fIVERB\\fR [\\fIOPTION\\fR]... [\\fIARGUMENT\\fR]...\n"
           ".SH VERBS\n");
}

static void man_option(const Option *o)
{
    printf(".TP\n");
    font('B', o->name);
    if (o->value_name) {
        putchar(' ');
        font('I', o->value_name);
    }
    putchar('\n');
    text(o->help);
    if (o->choices) {
        fputs(" (", stdout);
        text(o->choices);
        putchar(')');
    }
    putchar('\n');
}

static void unfilled(const char *lines)
{
    printf(".nf\n");
    text(lines);
    printf(".fi\n");
}

void man_verb(const Command *c)
{
    printf(".SS \"tare %s%s%s%s\"\n", c->verb, command_option(c, 0) ? " [OPTION]..." : "",
           c->arguments.text ? " " : "", c->arguments.text ? c->arguments.text : "");
    text(c->summary);
    putchar('\n');
    for (size_t i = 0; command_option(c, i); i++)
        man_option(command_option(c, i));
    if (c->notes) {
        printf(".PP\n");
        unfilled(c->notes);
    }
}

void man_lines(const char *heading, const char *lines)
{
    printf(".SH \"%s\"\n", heading);
    unfilled(lines);
}
