# Used by check-imports, which sets MODULES and FORBIDDEN. Works in any POSIX awk.

BEGIN {
    rows = split(ENVIRON["MODULES"], row, "\n")
    for (i = 1; i <= rows; i++) {
        count = split(row[i], name, " ")
        for (j = 1; j <= count; j++) level[name[j]] = i
    }
    rows = split(ENVIRON["FORBIDDEN"], row, "\n")
    for (i = 1; i <= rows; i++) {
        if (split(row[i], side, ":") < 2) continue
        count = split(side[1], name, " ")
        for (j = 1; j <= count; j++) forbidden[name[j]] = forbidden[name[j]] " " side[2]
    }
}

FNR == 1 { finish(); begin(FILENAME) }
{ tokenize($0) }
END { finish(); exit failed }

function begin(path,    part, depth, i) {
    file = path
    tokens = paths = comment_depth = 0
    string_end = ""
    split("", is_local)
    sub(/\.rs$/, "", path)
    sub(/\/mod$/, "", path)
    depth = split(path, part, "/")
    module = part[1]
    # The module of the code that is read, such as "::store::exec".
    scope = ""
    for (i = 1; i <= depth; i++) scope = scope "::" part[i]
}

function finish() {
    if (file == "") return
    if (module in level) { parse(); judge() }
    else fail(1, "module " module " is missing from the table in .ci/check-imports")
}

function fail(at, message) {
    printf "src/%s:%d: %s\n", file, at, message
    failed = 1
}

# --- Tokens: names, "::" and single characters. Comments, strings, characters and lifetimes are left out. ---

function tokenize(text,    length_of_end) {
    while (text != "") {
        if (comment_depth > 0) {
            if (!match(text, /\/\*|\*\//)) return
            comment_depth += substr(text, RSTART, 2) == "/*" ? 1 : -1
            text = substr(text, RSTART + 2)
        } else if (string_end == "escaped") {
            if (!match(text, /^([^"\\]|\\.)*"/)) return
            string_end = ""
            text = substr(text, RLENGTH + 1)
        } else if (string_end != "") {
            if (!index(text, string_end)) return
            length_of_end = length(string_end)
            text = substr(text, index(text, string_end) + length_of_end)
            string_end = ""
        } else if (text ~ /^\/\//) {
            return
        } else if (text ~ /^\/\*/) {
            comment_depth = 1
            text = substr(text, 3)
        } else if (match(text, /^[bc]?r#*"/)) {
            string_end = substr(text, 1, RLENGTH - 1)
            sub(/^[bc]?r/, "", string_end)
            string_end = "\"" string_end
            text = substr(text, RLENGTH + 1)
        } else if (match(text, /^[bc]?"/)) {
            string_end = "escaped"
            text = substr(text, RLENGTH + 1)
        } else if (match(text, /^[ \t\r]+/) || match(text, /^b?'\\.[^']*'/) || match(text, /^b?'[^'\\]'/) ||
                   match(text, /^'[\200-\377]+'/) || match(text, /^'[A-Za-z_][A-Za-z0-9_]*/)) {
            text = substr(text, RLENGTH + 1)
        } else {
            if (!match(text, /^(r#)?[A-Za-z_][A-Za-z0-9_]*/) && !match(text, /^::/)) match(text, /^./)
            token[++tokens] = substr(text, 1, RLENGTH)
            sub(/^r#/, "", token[tokens])
            line[tokens] = FNR
            text = substr(text, RLENGTH + 1)
        }
    }
}

function is_name(at) { return at <= tokens && token[at] ~ /^[A-Za-z_]/ }

# --- Paths: every `use` declaration, and every path of two or more names elsewhere. ---

function parse(    depth, modules, outer, opened, prefix) {
    token[tokens + 1] = token[tokens + 2] = token[tokens + 3] = ""
    at = 1
    while (at <= tokens) {
        if (token[at] == "{") {
            depth++
        } else if (token[at] == "}") {
            if (modules > 0 && opened[modules] == depth) scope = outer[modules--]
            depth--
        } else if (token[at] == "mod" && is_name(at + 1)) {
            is_local[token[at + 1]] = 1
            if (token[at + 2] == "{") {
                outer[++modules] = scope
                opened[modules] = ++depth
                scope = scope "::" token[at + 1]
            }
            at += 2
        } else if (token[at] == "use" && token[at + 1] != "<") {
            at++
            parse_use("")
        } else if (is_name(at) && token[at + 1] == "::" && token[at - 1] != "." && !continues(at)) {
            prefix = token[at - 1] == "::" ? "::" : ""
            parse_path(prefix)
            continue
        }
        at++
    }
}

# Whether the name at `at` follows another part of the same path, as `new` in `Vec::<u8>::new`.
function continues(at) { return token[at - 1] == "::" && (is_name(at - 2) || token[at - 2] == ">") }

function parse_path(prefix,    path, first) {
    first = at
    path = prefix token[at++]
    while (token[at] == "::" && is_name(at + 1)) {
        path = path "::" token[at + 1]
        at += 2
    }
    record(path, line[first])
}

# Reads one tree of a `use` declaration, and records the path to each of its leaves.
function parse_use(prefix,    path, binds) {
    if (token[at] == "::") { prefix = "::"; at++ }
    path = prefix
    while (is_name(at) || token[at] == "*") {
        path = path (path == "" || path == "::" ? "" : "::") token[at]
        binds = token[at++]
        if (token[at] == "::") { at++; continue }
        if (token[at] == "as") { binds = token[at + 1]; at += 2 }
        record(path, line[at - 1])
        # `use crate::api::http` makes http a name of our own; `use http::{self}` does not.
        if (path ~ /^(crate|self|super|customer_groups)::/) is_local[binds] = 1
        return
    }
    if (token[at] != "{") return
    at++
    while (at <= tokens && token[at] != "}") {
        if (token[at] == ",") at++
        else if (is_name(at) || token[at] ~ /^[*{]$/ || token[at] == "::") parse_use(path)
        else at++
    }
    at++
}

function record(path, at_line) {
    path_at[++paths] = path
    path_line[paths] = at_line
    path_scope[paths] = scope
}

# --- Rules. ---

function judge(    i, target) {
    for (i = 1; i <= paths; i++) {
        target = resolve(path_at[i], path_scope[i])
        if (target == "" || target == module) continue
        if (target ~ /^ /) judge_crate(substr(target, 2), path_line[i])
        else judge_module(target, path_line[i])
    }
}

# The top-level module that a path leads to; or a space and the name of another crate; or nothing.
function resolve(path, scope,    part, count, i) {
    count = split(path, part, "::")
    if (part[1] == "") return " " part[2]
    if (part[1] == "crate" || part[1] == "customer_groups") return count > 1 ? part[2] : "*"
    if (part[1] != "super" && part[1] != "self") return part[1] in is_local ? "" : " " part[1]
    for (i = 1; part[i] == "super" || part[i] == "self"; i++)
        if (part[i] == "super") sub(/::[^:]*$/, "", scope)
    if (scope == "") return i <= count ? part[i] : "*"
    split(scope, part, "::")
    return part[2]
}

function judge_module(target, at_line) {
    if (target == "*" || target == "self")
        fail(at_line, module " imports the crate root; name the module")
    else if (!(target in level))
        fail(at_line, module " imports crate::" target ", which is missing from the table in .ci/check-imports")
    else if (level[target] < level[module])
        fail(at_line, module " imports " target ", which is above it")
    else if (level[target] == level[module])
        fail(at_line, module " imports " target ", which is on the same level")
    else if (is_forbidden(target, 0))
        fail(at_line, module " must not import " target)
}

function judge_crate(name, at_line) {
    if (is_forbidden(name, 1)) fail(at_line, module " must not use the crate " name)
}

# Crates also match by the start of their name: tonic_health as tonic.
function is_forbidden(name, by_prefix,    item, count, i) {
    count = split(forbidden[module], item, " ")
    for (i = 1; i <= count; i++)
        if (name == item[i] || by_prefix && index(name, item[i] "_") == 1) return 1
    return 0
}
