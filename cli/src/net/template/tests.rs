//! What people type, and what Docker prints for it.

use serde_json::json;

use super::*;

fn render(template: &str) -> Result<String, TemplateError> {
    let value = json!({
        "Name": "br0", "Internal": false, "Count": 3, "Options": null,
        "IPAM": {"Driver": "default", "Config": [{"Subnet": "10.0.0.0/24", "Gateway": "10.0.0.1"}]},
        "Labels": {"z.key": "1", "a": "2"},
    });
    Template::parse(template)?.render(&value)
}

#[test]
fn paths_and_functions_print_as_in_go() {
    let golden = [
        ("plain", "plain"),
        ("{{.Name}}", "br0"),
        ("{{ .Name }}:{{.Internal}}\\t{{.Count}}", "br0:false\t3"),
        ("{{.IPAM.Driver}}", "default"),
        (
            "{{.IPAM.Config}}",
            "[map[Gateway:10.0.0.1 Subnet:10.0.0.0/24]]",
        ),
        ("{{json .Labels}}", r#"{"z.key":"1","a":"2"}"#),
        ("{{json .Name}}", "\"br0\""),
        ("{{.Options}}", "<no value>"),
        ("{{len .Labels}}{{len .Name}}{{len .Options}}", "230"),
        ("{{index .Labels \"z.key\"}}", "1"),
        ("{{index .Labels \"none\"}}", ""),
        ("{{index .IPAM.Config 0 \"Subnet\"}}", "10.0.0.0/24"),
    ];
    for (template, expected) in golden {
        assert_eq!(render(template).as_deref(), Ok(expected), "{template}");
    }
    assert!(
        render("{{json .}}")
            .unwrap()
            .starts_with(r#"{"Name":"br0","Internal":false"#)
    );
}

#[test]
fn what_does_not_fit_is_said() {
    let golden = [
        (
            "{{.Name",
            "the format \"{{.Name\" opens {{ without closing it",
        ),
        (
            "{{.Nmae}}",
            "there is no \"Nmae\" in .; there are Name, Internal, Count, Options, IPAM, Labels",
        ),
        ("{{.Name.X}}", ".Name is a text, which has no field \"X\""),
        ("{{len .Count}}", "3 is a number, which has no length"),
        (
            "{{index .IPAM.Config 7}}",
            "[map[Gateway:10.0.0.1 Subnet:10.0.0.0/24]] is a list, which has no element 7",
        ),
        (
            "{{range .Labels}}x",
            "{{range .Labels}} is not ended; {{end}} has to follow",
        ),
        ("{{end}}", "{{end}} stands in no if, range or with"),
        ("{{$x}}", "there is no variable $x; {{$x := ...}} makes one"),
        ("{{upper .Count}}", "upper wants one text"),
        (
            "{{if eq .Internal \"false\"}}{{end}}",
            "eq cannot compare true or false with a text",
        ),
        (
            "{{range .Name}}{{end}}",
            "br0 is a text, which has no elements",
        ),
    ];
    for (template, expected) in golden {
        assert_eq!(render(template).unwrap_err().to_string(), expected);
    }
    let unknown = render("{{jsn .Name}}").unwrap_err().to_string();
    assert!(
        unknown.starts_with("there is no function \"jsn\"; there are and, eq"),
        "{unknown}"
    );
    for bad in [
        "{{}}",
        "{{if}}{{end}}",
        "{{..}}",
        "{{.A .B}}",
        "{{.Name | .Name}}",
        "{{(.Name}}",
        "{{.Name)}}",
        "{{range $a, := .X}}{{end}}",
    ] {
        assert!(
            matches!(render(bad), Err(TemplateError::Unknown { .. })),
            "{bad} {:?}",
            render(bad)
        );
    }
    assert!(matches!(
        render("{{index .Labels \"a}}"),
        Err(TemplateError::Unclosed { .. })
    ));
}

/// What people write for `docker network inspect --format`.
#[test]
fn the_common_templates_of_docker_work() {
    let value = json!({
        "Name": "br0", "Id": "ab".repeat(32), "Internal": false, "Options": {"mtu": "1400"},
        "IPAM": {"Config": [
            {"Subnet": "10.0.0.0/24", "Gateway": "10.0.0.1"},
            {"Subnet": "fd00::/64", "Gateway": "fd00::1", "IPRange": "fd00::/80"},
        ]},
        "Containers": {
            "f2": {"Name": "web", "IPv4Address": "10.0.0.3/24"},
            "a1": {"Name": "db", "IPv4Address": "10.0.0.2/24"},
        },
        "Labels": {"team": "red"},
    });
    let golden = [
        (
            "{{range .IPAM.Config}}{{.Subnet}} {{end}}",
            "10.0.0.0/24 fd00::/64 ",
        ),
        ("{{(index .IPAM.Config 0).Gateway}}", "10.0.0.1"),
        (
            "{{with index .IPAM.Config 0}}{{.Subnet}}{{end}}",
            "10.0.0.0/24",
        ),
        (
            "{{range $id, $c := .Containers}}{{$id}} {{$c.Name}} {{$c.IPv4Address}}\\n{{end}}",
            "a1 db 10.0.0.2/24\nf2 web 10.0.0.3/24\n",
        ),
        ("{{range .Containers}}{{println .Name}}{{end}}", "db\nweb\n"),
        (
            "{{range $i, $c := .IPAM.Config}}{{if $i}}, {{end}}{{.Subnet}}{{end}}",
            "10.0.0.0/24, fd00::/64",
        ),
        ("{{if .Internal}}closed{{else}}open{{end}}", "open"),
        (
            "{{if eq .Name \"br0\"}}it{{else if .Name}}other{{else}}none{{end}}",
            "it",
        ),
        ("{{if and .Name (not .Internal)}}yes{{end}}", "yes"),
        ("{{if gt (len .Containers) 1}}many{{end}}", "many"),
        (
            "{{printf \"%-6s|%5d|%q\" .Name (len .Containers) .Name}}",
            "br0   |    2|\"br0\"",
        ),
        ("{{.Name | upper | printf \"%s!\"}}", "BR0!"),
        ("{{json .Labels | printf \"%s\"}}", "{\"team\":\"red\"}"),
        ("{{join (split .Name \"r\") \"-\"}}", "b-0"),
        ("{{slice .ID 0 12}}", "abababababab"),
        ("{{truncate .Id 4}}", "abab"),
        ("{{.Labels.team}} {{.Labels.none}}", "red <no value>"),
        ("{{if .Labels.none}}x{{else}}without{{end}}", "without"),
        ("{{index .Options \"mtu\"}}", "1400"),
        (
            "{{range .IPAM.Config}}[{{.IPRange}}]{{end}}",
            "[][fd00::/80]",
        ),
        ("a {{- /* said to nobody */ -}} b", "ab"),
        (
            "{{$n := .Name}}{{range .IPAM.Config}}{{$n}}:{{$.Name}} {{end}}",
            "br0:br0 br0:br0 ",
        ),
        ("{{range .Nothing}}{{else}}{{end}}", ""),
        ("{{\"}}\"}}", "}}"),
        (
            "{{lower `ABC`}} {{title \"abc\"}} {{pad \"x\" 1 2}}.",
            "abc Abc  x  .",
        ),
        (
            "{{or .Internal .Name}} {{ne 1 2}} {{le 2 2}}",
            "br0 true true",
        ),
    ];
    for (template, expected) in golden {
        let rendered = Template::parse(template).and_then(|template| template.render(&value));
        match template.contains("Nothing") {
            true => assert!(matches!(rendered, Err(TemplateError::NoField { .. }))),
            false => assert_eq!(rendered.as_deref(), Ok(expected), "{template}"),
        }
    }
}

#[test]
fn printf_complains_as_go_does() {
    for (template, expected) in [
        ("{{printf \"%d\" .Name}}", "%!d(br0)"),
        ("{{printf \"%s\"}}", "%!s(MISSING)"),
        ("{{printf \"x\" 1}}", "x%!(EXTRA 1)"),
        (
            "{{printf \"%05d %+d %5.1f %t %x %%\" 42 7 1.25 true 255}}",
            "00042 +7   1.2 true ff %",
        ),
        ("{{print 1 2 \"a\" 3}}", "1 2a3"),
    ] {
        assert_eq!(render(template).as_deref(), Ok(expected), "{template}");
    }
}

#[test]
fn titles_are_the_last_names() {
    let template = Template::parse("{{.Name}}\\t{{.IPAM.Driver}}").unwrap();
    assert_eq!(template.titles(str::to_uppercase), "NAME\tDRIVER");
}
