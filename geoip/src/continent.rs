//! Which continent a country is counted to, for databases that name only countries.

const CONTINENTS: [([u8; 2], &str); 7] = [
    (
        *b"AF",
        "AO BF BI BJ BW CD CF CG CI CM CV DJ DZ EG EH ER ET GA GH GM GN GQ GW KE KM LR LS LY MA MG ML MR MU MW MZ NA NE NG \
         RE RW SC SD SH SL SN SO SS ST SZ TD TG TN TZ UG YT ZA ZM ZW",
    ),
    (*b"AN", "AQ BV GS HM TF"),
    (
        *b"AS",
        "AE AF AM AZ BD BH BN BT CN GE HK ID IL IN IO IQ IR JO JP KG KH KP KR KW KZ LA LB LK MM MN MO MV MY NP OM PH PK PS \
         QA SA SG SY TH TJ TL TM TR TW UZ VN YE",
    ),
    (
        *b"EU",
        "AD AL AT AX BA BE BG BY CH CY CZ DE DK EE ES FI FO FR GB GG GI GR HR HU IE IM IS IT JE LI LT LU LV MC MD ME MK MT \
         NL NO PL PT RO RS RU SE SI SJ SK SM UA VA XK",
    ),
    (
        *b"NA",
        "AG AI AW BB BL BM BQ BS BZ CA CR CU CW DM DO GD GL GP GT HN HT JM KN KY LC MF MQ MS MX NI PA PM PR SV SX TC TT US \
         VC VG VI",
    ),
    (
        *b"OC",
        "AS AU CC CK CX FJ FM GU KI MH MP NC NF NR NU NZ PF PG PN PW SB TK TO TV UM VU WF WS",
    ),
    (*b"SA", "AR BO BR CL CO EC FK GF GY PE PY SR UY VE"),
];

/// The continent (AF AN AS EU NA OC SA) of an ISO 3166-1 alpha-2 country in upper case; `None` for an unknown code.
pub fn continent_of(country: [u8; 2]) -> Option<[u8; 2]> {
    let holds = |list: &str| list.as_bytes().chunks(3).any(|entry| entry.starts_with(&country));
    CONTINENTS
        .iter()
        .find(|(_, list)| holds(list))
        .map(|(continent, _)| *continent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_country_has_one_continent() {
        let mut all: Vec<&str> = CONTINENTS
            .iter()
            .flat_map(|(_, list)| list.split_ascii_whitespace())
            .collect();
        assert!(
            all.iter()
                .all(|code| code.len() == 2 && code.bytes().all(|b| b.is_ascii_uppercase()))
        );
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count, "a country is listed twice");
        assert_eq!(count, 250, "the 249 codes of ISO 3166-1 and Kosovo");
    }

    #[test]
    fn known_and_unknown_codes() {
        assert_eq!(continent_of(*b"GB"), Some(*b"EU"));
        assert_eq!(continent_of(*b"NA"), Some(*b"AF"));
        assert_eq!(continent_of(*b"XX"), None);
        assert_eq!(continent_of(*b"E "), None);
    }
}
