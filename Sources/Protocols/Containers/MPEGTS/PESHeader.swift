/// The head of a packetized elementary stream packet (ISO/IEC 13818-1 §2.4.3.6).
package enum PESHeader {
  package static let video: UInt8 = 0xe0, audio: UInt8 = 0xc0, privateStream1: UInt8 = 0xbd

  /// Appends the header.
  /// - Parameters:
  ///   - pts: 33 bits of 90 kHz, as is `dts`, which is written only where it differs.
  ///   - payloadCount: bytes that follow; `nil` leaves the length open, which only video may.
  package static func append(streamID: UInt8, pts: UInt64, dts: UInt64, payloadCount: Int?, to output: inout [UInt8]) {
    let hasDTS = pts != dts
    let length = payloadCount.map { $0 + (hasDTS ? 13 : 8) } ?? 0
    for byte in [0, 0, 1, streamID] { output.append(byte) }
    output.append(UInt8(truncatingIfNeeded: length >> 8))
    output.append(UInt8(truncatingIfNeeded: length))
    // '10', and data_alignment_indicator: an access unit begins right here.
    output.append(0x84)
    output.append(hasDTS ? 0xc0 : 0x80)
    output.append(hasDTS ? 10 : 5)
    appendTime(pts, mark: hasDTS ? 3 : 2, to: &output)
    if hasDTS { appendTime(dts, mark: 1, to: &output) }
  }

  private static func appendTime(_ time: UInt64, mark: UInt8, to output: inout [UInt8]) {
    output.append(mark << 4 | UInt8(time >> 30 & 7) << 1 | 1)
    output.append(UInt8(time >> 22 & 0xff))
    output.append(UInt8(time >> 15 & 0x7f) << 1 | 1)
    output.append(UInt8(time >> 7 & 0xff))
    output.append(UInt8(time & 0x7f) << 1 | 1)
  }
}
