//! The database, its hashes and its imports, by rule number of LINK-SPEC section 6.

use super::*;

const SALT: [u8; 16] = [
    0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef,
];
const SALT_TEXT: &str = "0123456789abcdef0123456789abcdef";

fn digest(name: DigestName, salt_position: SaltPosition) -> HashScheme {
    HashScheme::Digest { name, salt_position }
}

fn sha256() -> HashScheme {
    digest(DigestName::Sha256, SaltPosition::Prefix)
}

fn pbkdf2() -> HashScheme {
    HashScheme::Pbkdf2 { mac: MacName::Sha256, iterations: 1000, dk_length: Some(20) }
}

fn fits(hash: &PasswordHash) -> bool {
    hash.verify(b"secret") && !hash.verify(b"Secret") && !hash.verify(b"")
}

#[test]
fn hashes_made_by_others_are_verified_a8() {
    use DigestName::*;
    let table = [
        (digest(Md5, SaltPosition::Prefix), "5211df07cd46b5585096e3714f622238"),
        (digest(Sha, SaltPosition::Prefix), "e58681c656e4b7879242e3ac8d733f4fa12e6f43"),
        (sha256(), "0BCCA54FE4BC681D31DD1922D1CF4E8E3D4548A4BCCA8FD33D47CBEC06FD41E0"),
        (
            digest(Sha512, SaltPosition::Prefix),
            "354ccaee459129d32b40c3e8fcf852dbd850a162843b16662b760f30524aaf65\
             aa1f77d43a8194da9018bbbc7d786b49e46e4decbc1080271cd0975cca23f0cd",
        ),
        (digest(Md5, SaltPosition::Disable), "5ebe2294ecd0e0f08eab7690d2a6ee69"),
        (
            HashScheme::Bcrypt { salt_rounds: 10 },
            "$2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a",
        ),
        (pbkdf2(), "ba3cfe6a89688633d4d8bc8ed833b6dacb1a0d2b"),
        (
            HashScheme::Pbkdf2 { mac: MacName::Md5, iterations: 10, dk_length: None },
            "a1105b110ff0dec1b88ca8d269d33c43",
        ),
        (HashScheme::Plain, "secret"),
    ];
    for (scheme, hash) in table {
        assert!(fits(&scheme.adopt(hash, SALT_TEXT).unwrap()), "{scheme:?}");
    }
}

#[test]
fn each_scheme_verifies_what_it_hashed_a8() {
    let macs = [MacName::Sha, MacName::Sha224, MacName::Sha384, MacName::Sha512];
    let mut schemes: Vec<_> = macs
        .map(|mac| HashScheme::Pbkdf2 { mac, iterations: 2, dk_length: None })
        .into_iter()
        .collect();
    for position in [SaltPosition::Disable, SaltPosition::Prefix, SaltPosition::Suffix] {
        schemes.extend(
            [DigestName::Md5, DigestName::Sha, DigestName::Sha256, DigestName::Sha512]
                .map(|name| digest(name, position)),
        );
    }
    schemes.extend([
        HashScheme::Argon2id,
        HashScheme::Plain,
        HashScheme::Bcrypt { salt_rounds: 5 },
    ]);
    for scheme in schemes {
        let hash = scheme.hash(&"secret".into(), SALT).unwrap();
        assert!(fits(&hash), "{scheme:?}");
        let user =
            User { user_id: "u".into(), password: hash, is_superuser: true, namespace: None };
        assert_eq!(User::from_record(&user.to_record()).unwrap(), user, "{scheme:?}");
    }
}

#[test]
fn a_suffixed_salt_stands_behind_the_password_a8() {
    let hash =
        digest(DigestName::Sha256, SaltPosition::Suffix).hash(&"secret".into(), SALT).unwrap();
    let user = User { user_id: "u".into(), password: hash, is_superuser: false, namespace: None };
    assert!(user.to_record().contains("8639893c5bc760bf"), "{}", user.to_record());
}

#[test]
fn new_passwords_are_argon2id_with_modest_cost() {
    let hash = HashScheme::Argon2id.hash(&"secret".into(), SALT).unwrap();
    assert_eq!(hash.algorithm(), "argon2id");
    let user = User { user_id: "u".into(), password: hash, is_superuser: false, namespace: None };
    assert!(user.to_record().contains("$argon2id$v=19$m=19456,t=2,p=1$"));
}

#[test]
fn hashes_of_another_form_or_too_costly_are_refused() {
    let refused = [
        (sha256(), "abc"),
        (sha256(), "5ebe2294ecd0e0f08eab7690d2a6ee69"),
        (sha256(), "zz"),
        (pbkdf2(), ""),
        (
            HashScheme::Bcrypt { salt_rounds: 10 },
            "$2b$31$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a",
        ),
        (HashScheme::Bcrypt { salt_rounds: 10 }, "secret"),
        (HashScheme::Argon2id, "$argon2i$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$aGFzaGhhc2hoYXNo"),
        (
            HashScheme::Argon2id,
            "$argon2id$v=19$m=4000000,t=2,p=1$c29tZXNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaA",
        ),
    ];
    for (scheme, hash) in refused {
        let error = scheme.adopt(hash, SALT_TEXT).unwrap_err();
        assert!(hash.is_empty() || !error.to_string().contains(hash), "{error}");
    }
    for scheme in [
        HashScheme::Bcrypt { salt_rounds: 31 },
        HashScheme::Pbkdf2 { mac: MacName::Sha, iterations: 0, dk_length: None },
        HashScheme::Pbkdf2 { mac: MacName::Sha, iterations: 1, dk_length: Some(u32::MAX) },
    ] {
        assert!(
            matches!(scheme.hash(&"x".into(), SALT), Err(BadHash::Parameters { .. })),
            "{scheme:?}"
        );
    }
}

fn store(id_type: UserIdType) -> UserStore {
    let mut store = UserStore::new(id_type, &sha256()).unwrap();
    let password = sha256().hash(&"secret".into(), SALT).unwrap();
    store.insert(User { user_id: "ann".into(), password, is_superuser: true, namespace: None });
    store
}

#[test]
fn a_user_is_found_by_name_or_client_id_a8() {
    let by_name = store(UserIdType::Username);
    assert!(by_name.authenticate("x", Some("ann"), Some(b"secret")).unwrap().is_superuser);
    assert!(store(UserIdType::ClientId).authenticate("ann", None, Some(b"secret")).is_ok());
    let refusal = |username, password| by_name.authenticate("ann", username, password).unwrap_err();
    assert_eq!(refusal(None, Some(b"secret".as_slice())), AuthRefusal::NoUserId);
    assert_eq!(refusal(Some("ann"), None), AuthRefusal::NoPassword);
    assert_eq!(refusal(Some("ann"), Some(b"wrong")), AuthRefusal::WrongPassword);
    assert_eq!(refusal(Some("bob"), Some(b"secret")), AuthRefusal::UnknownUser);
    assert_eq!(refusal(Some("bob"), Some(b"decoy")), AuthRefusal::UnknownUser);
}

#[test]
fn existing_users_are_kept_on_bootstrap_a8() {
    let mut store = store(UserIdType::Username);
    let users =
        csv("user_id,password,is_superuser\nann,other,false\nbob,pw,false\n", ImportKind::Plain)
            .unwrap();
    assert_eq!(store.bootstrap(users), 1);
    assert!(store.authenticate("", Some("ann"), Some(b"secret")).is_ok());
    assert!(store.authenticate("", Some("bob"), Some(b"pw")).is_ok());
}

fn csv(text: &str, kind: ImportKind) -> Result<Vec<User>, ImportError> {
    import_csv(text, kind, &sha256(), || SALT)
}

fn json(text: &str, kind: ImportKind) -> Result<Vec<User>, ImportError> {
    import_json(text, kind, &sha256(), || SALT)
}

const HASH: &str = "0bcca54fe4bc681d31dd1922d1cf4e8e3d4548a4bcca8fd33d47cbec06fd41e0";

#[test]
fn csv_and_json_of_both_kinds_are_imported_a8() {
    let files = [
        (
            csv as fn(&str, ImportKind) -> _,
            ImportKind::Hash,
            format!("user_id,password_hash,salt,is_superuser\nann,{HASH},{SALT_TEXT},true\n"),
        ),
        (csv, ImportKind::Plain, "user_id,password,is_superuser\r\nann,secret,true\r\n".to_owned()),
        (
            csv,
            ImportKind::Plain,
            "\u{feff}note, is_superuser ,password,user_id\n\"a, b\",1,\"secret\",ann".to_owned(),
        ),
        (
            json,
            ImportKind::Hash,
            format!(
                r#"[{{"user_id":"ann","password_hash":"{HASH}","salt":"{SALT_TEXT}","is_superuser":true}}]"#
            ),
        ),
        (
            json,
            ImportKind::Plain,
            r#"[{"user_id":"ann","password":"secret","is_superuser":"true","note":[1]}]"#
                .to_owned(),
        ),
    ];
    for (import, kind, text) in files {
        let users = import(&text, kind).unwrap();
        assert_eq!(users.len(), 1, "{text}");
        assert!(
            users[0].user_id == "ann" && users[0].is_superuser && fits(&users[0].password),
            "{text}"
        );
    }
    let users = csv("user_id,password,namespace\na,x,ns1\nb,y,\n", ImportKind::Plain).unwrap();
    assert_eq!((users[0].namespace.as_deref(), users[1].namespace.as_deref()), (Some("ns1"), None));
    assert!(!users[0].is_superuser);
}

#[test]
fn the_password_itself_is_never_stored_a9() {
    for kind in [ImportKind::Plain, ImportKind::Hash] {
        let text = "user_id,password,password_hash\nann,secret,secret\n";
        let users = import_csv(text, kind, &HashScheme::Plain, || SALT).unwrap();
        assert!(fits(&users[0].password));
        let record = users[0].to_record();
        assert!(!record.contains("secret") && record.contains(SALT_TEXT), "{record}");
        assert!(!format!("{:?}", users[0]).contains(SALT_TEXT));
    }
}

#[test]
fn a_fault_of_an_import_is_told_by_its_line_without_content_a8() {
    let line = Entry::Line;
    let table = [
        (csv("", ImportKind::Plain), ImportError::MissingColumn { column: "user_id" }),
        (
            csv("user_id,password_hash\n", ImportKind::Plain),
            ImportError::MissingColumn { column: "password" },
        ),
        (
            csv("user_id,password\na,hush\n\nb\n", ImportKind::Plain),
            ImportError::BadLine { line: 4 },
        ),
        (
            csv("user_id,password\n,hush\n", ImportKind::Plain),
            ImportError::MissingValue { entry: line(2), field: "user_id" },
        ),
        (
            csv("user_id,password\na,b\nhush,\n", ImportKind::Plain),
            ImportError::MissingValue { entry: line(3), field: "password" },
        ),
        (
            csv("user_id,password,is_superuser\na,b,hush\n", ImportKind::Plain),
            ImportError::BadFlag { entry: line(2) },
        ),
        (
            csv("user_id,password\na,b\na,hush\n", ImportKind::Plain),
            ImportError::Duplicate { entry: line(3) },
        ),
        (
            json("[\n{\"user_id\":\"a\",\"password\":hush}]", ImportKind::Plain),
            ImportError::BadJson { line: 2, column: 27 },
        ),
        (json("{}", ImportKind::Plain), ImportError::BadJson { line: 1, column: 0 }),
        (
            json(r#"[{"user_id":"a","password":"b"},{"user_id":"hush"}]"#, ImportKind::Plain),
            ImportError::MissingValue { entry: Entry::Element(2), field: "password" },
        ),
        (
            json(r#"[{"user_id":"a","password":"b","is_superuser":7}]"#, ImportKind::Plain),
            ImportError::BadFlag { entry: Entry::Element(1) },
        ),
    ];
    for (found, expected) in table {
        let error = found.unwrap_err();
        assert_eq!(error, expected);
        assert!(!format!("{error} {error:?}").contains("hush"), "{error}");
    }
    let open = csv("user_id,password\na,\"b\nc,d\n", ImportKind::Plain).unwrap_err();
    assert_eq!(open, ImportError::BadLine { line: 2 }, "a quote without its end");
    let error = csv("user_id,password_hash\na,hush\n", ImportKind::Hash).unwrap_err();
    assert!(matches!(error, ImportError::BadHash { entry: Entry::Line(2), .. }), "{error}");
}

#[test]
fn a_record_of_another_version_is_refused_without_quoting_it_a9() {
    let error = User::from_record(r#"{"v":"2","user_id":"hush"}"#).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hush"));
}
