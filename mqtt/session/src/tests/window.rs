use crate::window::distance;

#[test]
fn the_distance_of_packet_ids_skips_zero() {
    assert_eq!(distance(1, 1), 0);
    assert_eq!(distance(5, 9), 4);
    assert_eq!(distance(65_535, 1), 1);
    assert_eq!(distance(2, 1), 65_534);
}
