/// Conversion between the clocks of tracks and containers.
package enum MediaTime {
  /// `ticks` of a clock of `from` hertz in a clock of `to` hertz, to the nearest tick. Wraps rather than traps on times
  /// beyond what 64 bits hold.
  package static func rescale(_ ticks: Int64, from: Int32, to: Int32) -> Int64 {
    if from == to || from <= 0 { return ticks }
    let (from, to) = (Int64(from), Int64(to))
    var (whole, rest) = ticks.quotientAndRemainder(dividingBy: from)
    if rest < 0 { (whole, rest) = (whole - 1, rest + from) }
    return whole &* to &+ (rest * to + from / 2) / from
  }
}

extension TrackFormat {
  /// RTMP data messages: AMF0 as it came, in milliseconds.
  package static let data = TrackFormat(codec: .data, timescale: 1000)
}
