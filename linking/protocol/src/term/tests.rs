use super::*;
use bytes::Bytes;
use proptest::prelude::*;

const LIMITS: DecodeLimits = DecodeLimits { depth: 16, terms: 1000, inflated_bytes: 64 * 1024 };

fn fails(bytes: &[u8]) -> TermError {
    decode(bytes, LIMITS).unwrap_err()
}

fn with_version(term: &[u8]) -> Vec<u8> {
    [&[131], term].concat()
}

#[test]
fn every_form_that_old_remotes_use_is_read() {
    let atom = |text: &'static str| Term::Atom(AtomText(text.into()));
    let cases: [(&[u8], Term<'_>); 12] = [
        (&[97, 255], Term::Int(255)),
        (&[98, 255, 255, 255, 255], Term::Int(-1)),
        (&[110, 1, 1, 5], Term::Int(-5)),
        (&[110, 8, 1, 0, 0, 0, 0, 0, 0, 0, 128], Term::Int(i64::MIN)),
        (&[111, 0, 0, 0, 9, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0], Term::Int(1)),
        (&[70, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0], Term::Float(1.0)),
        (&[100, 0, 2, b'o', b'k'], atom("ok")),
        (&[115, 2, b'o', 0xe9], atom("oé")),
        (&[118, 0, 2, b'o', b'k'], atom("ok")),
        (&[119, 2, b'o', b'k'], atom("ok")),
        (&[105, 0, 0, 0, 1, 106], Term::Tuple(vec![Term::List(vec![])])),
        (&[107, 0, 2, 1, 2], Term::ByteList(&[1, 2])),
    ];
    for (bytes, term) in cases {
        assert_eq!(decode(&with_version(bytes), LIMITS).unwrap().term, term, "{bytes:?}");
    }
    let text_float = [&[99][..], b"1.50000000000000000000e+00", &[0; 5]].concat();
    assert_eq!(decode(&with_version(&text_float), LIMITS).unwrap().term, Term::Float(1.5));
}

#[test]
fn integers_past_64_bits_are_refused_and_the_edges_are_not() {
    let too_large: [&[u8]; 4] = [
        &[110, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
        &[110, 8, 0, 0, 0, 0, 0, 0, 0, 0, 128],
        &[110, 8, 1, 1, 0, 0, 0, 0, 0, 0, 128],
        &[110, 1, 2, 0],
    ];
    for bytes in too_large {
        assert_eq!(fails(&with_version(bytes)), TermError::IntegerTooLarge, "{bytes:?}");
    }
    for value in [0, 255, 256, -1, i64::from(i32::MAX), i64::MAX, i64::MIN, 1_790_000_000_123] {
        let mut out = Encoder::default();
        out.int(value);
        assert_eq!(decode(&out.finish(), LIMITS).unwrap().term, Term::Int(value));
    }
}

#[test]
fn funs_pids_references_and_ports_are_refused() {
    for tag in [77, 82, 88, 89, 90, 101, 102, 103, 112, 113, 114, 117, 120, 131, 80, 0, 255] {
        assert_eq!(fails(&[131, tag]), TermError::UnsupportedTag(tag));
    }
}

#[test]
fn six_bytes_that_claim_four_billion_elements_allocate_nothing() {
    for tag in [105, 108, 116, 109] {
        let claim = [131, tag, 0xff, 0xff, 0xff, 0xff];
        let error = fails(&claim);
        assert!(matches!(error, TermError::CountBeyondInput | TermError::Truncated), "{error:?}");
    }
}

#[test]
fn nesting_stops_at_the_limit() {
    let nested = |levels: usize| {
        let mut bytes = vec![131];
        bytes.extend([104, 1].repeat(levels));
        bytes.push(106);
        bytes
    };
    assert!(decode(&nested(16), LIMITS).is_ok());
    assert_eq!(fails(&nested(17)), TermError::TooDeep);
    assert_eq!(fails(&nested(1_000_000)), TermError::TooDeep);
}

#[test]
fn the_number_of_terms_is_bounded_whatever_their_size() {
    let mut list = vec![131, 108, 0, 0, 8, 0];
    list.extend([106; 0x800]);
    list.push(106);
    assert_eq!(fails(&list), TermError::TooManyTerms);
}

#[test]
fn a_list_with_a_tail_is_refused() {
    assert_eq!(fails(&[131, 108, 0, 0, 0, 1, 97, 1, 97, 2]), TermError::ImproperList);
}

#[test]
fn of_equal_map_keys_the_last_counts() {
    let bytes = [131, 116, 0, 0, 0, 2, 97, 10, 97, 1, 97, 10, 97, 2];
    let decoded = decode(&bytes, LIMITS).unwrap();
    assert_eq!(decoded.term.get_int(10), Some(&Term::Int(2)));
}

#[test]
fn trailing_bytes_are_counted_and_do_not_fail() {
    let decoded = decode(&[131, 97, 1, 9, 9, 9], LIMITS).unwrap();
    assert_eq!((decoded.term, decoded.trailing_bytes), (Term::Int(1), 3));
}

#[test]
fn empty_and_foreign_payloads_have_their_own_errors() {
    assert_eq!(fails(&[]), TermError::Empty);
    assert_eq!(fails(b"{}"), TermError::BadVersion);
    assert_eq!(fails(&[131]), TermError::Truncated);
}

/// A valid compressed payload of `size` zero bytes inside one binary, that claims `claimed`.
fn bomb(size: usize, claimed: u32) -> Bytes {
    let mut out = Encoder::with_capacity(size);
    out.binary(&vec![0; size]);
    let packed = compress_when_smaller(out.finish());
    let mut bytes = packed.to_vec();
    bytes[2..6].copy_from_slice(&claimed.to_be_bytes());
    bytes.into()
}

#[test]
fn a_bomb_is_refused_by_its_claim_or_by_what_comes_out() {
    let limit = u32::try_from(LIMITS.inflated_bytes).unwrap();
    let honest = bomb(16 << 20, (16 << 20) + 5);
    assert_eq!(unwrap_payload(honest, LIMITS), Err(TermError::InflatedTooLarge));
    let lying = bomb(16 << 20, limit);
    assert_eq!(unwrap_payload(lying, LIMITS), Err(TermError::InflatedTooLarge));
    let small_lie = bomb(16 << 20, 0);
    assert_eq!(unwrap_payload(small_lie, LIMITS), Err(TermError::InflatedTooLarge));
}

#[test]
fn a_compressed_payload_must_hold_exactly_what_it_claims() {
    let exact = bomb(1000, 1005);
    assert_eq!(unwrap_payload(exact.clone(), LIMITS).unwrap().len(), 1006);
    assert_eq!(unwrap_payload(bomb(1000, 1006), LIMITS), Err(TermError::BadCompression));
    let cut = exact.slice(..exact.len() - 8);
    assert_eq!(unwrap_payload(cut, LIMITS), Err(TermError::BadCompression));
    let damaged = Bytes::from_static(&[131, 80, 0, 0, 0, 9, 1, 2, 3, 4]);
    assert_eq!(unwrap_payload(damaged, LIMITS), Err(TermError::BadCompression));
}

#[test]
fn a_compressed_payload_inside_a_compressed_one_is_refused() {
    let inner = bomb(1000, 1005);
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut zlib, &inner[1..]).unwrap();
    let size = u32::try_from(inner.len() - 1).unwrap().to_be_bytes();
    let outer = [&[131, 80][..], &size, &zlib.finish().unwrap()].concat();
    let plain = unwrap_payload(outer.into(), LIMITS).unwrap();
    assert_eq!(decode(&plain, LIMITS), Err(TermError::UnsupportedTag(80)));
}

#[test]
fn payloads_are_compressed_only_when_that_pays() {
    let binary = |bytes: &[u8]| {
        let mut out = Encoder::default();
        out.binary(bytes);
        out.finish()
    };
    let short = binary(&[b'a'; 100]);
    assert_eq!(compress_when_smaller(short.clone()), short);
    let random: Vec<u8> =
        (0..400_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let noise = binary(&random);
    assert_eq!(compress_when_smaller(noise.clone()), noise);
    let text = binary(&[b'a'; 300]);
    let packed = compress_when_smaller(text.clone());
    assert!(packed.len() < text.len());
    assert_eq!(unwrap_payload(packed, LIMITS).unwrap(), text);
}

#[test]
fn every_atom_is_found_by_its_text_and_no_other_text_is_one() {
    for atom in Atom::ALL {
        assert_eq!(Atom::find(atom.as_str()), Some(*atom));
    }
    assert_eq!(Atom::ALL.len(), 23);
    assert_eq!(Atom::find("emqx_dashboard"), None);
}

proptest! {
    #[test]
    fn no_bytes_make_the_decoder_panic(data in proptest::collection::vec(any::<u8>(), 0..400)) {
        crate::fuzz::etf_decode(&data);
        crate::fuzz::link_message(&data);
    }

    /// Bytes that look like terms reach deeper than noise does.
    #[test]
    fn no_likely_bytes_make_the_decoder_panic(
        data in proptest::collection::vec(
            prop_oneof![
                Just(97_u8), Just(104), Just(106), Just(108), Just(109), Just(110), Just(116),
                Just(119), Just(107), 0_u8..12,
            ],
            0..200,
        ),
    ) {
        let bytes = with_version(&data);
        crate::fuzz::etf_decode(&bytes);
        crate::fuzz::link_message(&bytes);
    }
}
