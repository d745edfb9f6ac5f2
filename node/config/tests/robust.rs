//! No text stops the process.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::Files;
use proptest::prelude::*;
use spanmq_config::Flags;

fn survives(text: &str) {
    let _ = Files::with_config(text).load(&[("SPANMQ_CLUSTER__LINKS", text)], Flags::default());
}

/// Texts that look like HOCON more often than random ones do.
fn fragments() -> impl Strategy<Value = String> {
    let words = [
        "{",
        "}",
        "[",
        "]",
        "=",
        ":",
        "+=",
        ",",
        "\n",
        "\"",
        "\"\"\"",
        "\\",
        "$",
        "${",
        "${?",
        "a",
        ".",
        "i",
        "include ",
        "include \"x\"",
        "#",
        "//",
        " ",
        "1",
        "-1e999",
        "mqtt",
        "cluster.links",
        "node.name",
        "\"a@b\"",
        "null",
        "true",
        "\r\n",
        "\u{feff}",
        "é",
        "...",
        "\u{85}",
        "5 s",
        "\\ud83d",
        "required(",
        "file(",
        ")",
        "/",
        "`",
        "@",
        "^",
        "0.0.0.0",
    ];
    proptest::collection::vec(proptest::sample::select(words.to_vec()), 0..60)
        .prop_map(|words| words.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_text_never_panics(text in any::<String>()) {
        survives(&text);
    }

    #[test]
    fn fragments_of_hocon_never_panic(text in fragments()) {
        survives(&text);
    }

    #[test]
    fn a_cut_file_is_never_taken_for_a_whole_one(cut in 0_usize..GOOD.len()) {
        let text = &GOOD[..cut];
        let open = text.matches('{').count() != text.matches('}').count();
        let loaded = Files::with_config(text).load(&[], Flags::default());
        prop_assert!(!(open && loaded.is_ok()), "{text}");
    }
}

const GOOD: &str =
    "cluster { name = \"a\"\n links = [ { name = b, server = \"c:1\", topics = [\"x\"] } ] }";

#[test]
fn deep_nesting_is_an_error_and_no_crash() {
    for text in ["{".repeat(200_000), "[".repeat(200_000), format!("a{}=1", ".a".repeat(200_000))] {
        survives(&text);
        survives(&format!("x = {text}"));
        survives(&format!("x = ${{{text}}}"));
    }
    survives(&format!("a = {}1{}", "[".repeat(300), "]".repeat(300)));
    survives(&format!("a = {}", "${a} ".repeat(5_000)));
}

#[test]
fn long_chains_of_substitutions_end() {
    let chain: String = (0..900).map(|index| format!("k{index} = ${{k{}}}\n", index + 1)).collect();
    survives(&chain);
}

#[test]
fn substitutions_that_multiply_are_refused() {
    for prefix in ["", "x."] {
        let mut text = format!("{prefix}k0 = abcdefgh\n");
        for index in 1..40 {
            let below = index - 1;
            text.push_str(&format!(
                "{prefix}k{index} = ${{{prefix}k{below}}}${{{prefix}k{below}}}\n"
            ));
        }
        let errors = common::errors(&text);
        assert_eq!(errors, ["1:1: its substitutions multiply beyond all measure"]);
    }
}
