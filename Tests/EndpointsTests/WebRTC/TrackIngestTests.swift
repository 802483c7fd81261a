import MartletCodecs
@testable import MartletEndpoints
import MartletPrimitives
import MartletRTP
import Testing

@Suite struct TrackIngestTests {
  /// A picture of VP8 in one packet: a descriptor that begins it (RFC 7741 §4.2), and a frame header (RFC 6386 §9.1).
  private static func picture(isKey: Bool) -> Slice {
    isKey ? [0x10, 0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xb4, 0x00, 1] : [0x10, 0x11, 0, 0, 1]
  }

  private static func header(_ number: Int, timestamp: Int) throws -> RTPHeader {
    var writer = ByteWriter()
    writer.u16(0x80e0)
    writer.u16(UInt16(truncatingIfNeeded: number))
    writer.u32(UInt32(truncatingIfNeeded: timestamp))
    writer.u32(1)
    return try RTPHeader(parsing: writer.bytes.span.bytes)
  }

  /// Gives the pictures from `first` on, of which those in `keys` are key frames; answers the numbers of those that came out.
  private func run(_ ingest: inout TrackIngest, from first: Int, _ count: Int, keys: Set<Int>) throws -> [Int64] {
    var outputs: [TrackIngest.Output] = []
    for number in first..<first + count {
      let isKey = keys.contains(number)
      let header = try Self.header(number, timestamp: number * 3000)
      guard ingest.wants(header, startsKeyFrame: isKey) else { continue }
      ingest.receive(header, Self.picture(isKey: isKey), now: .zero + .milliseconds(33 * number), into: &outputs)
    }
    return outputs.compactMap { output in if case .frame(let frame) = output { frame.dts / 3000 } else { nil } }
  }

  @Test func `unread, a track gives its key frames alone, and goes on at the next one when it is read`() throws {
    var ingest = try #require(TrackIngest(.vp8, clockRate: 90_000))
    // It is not known before its first key frame.
    ingest.isRead = false
    let begun = try run(&ingest, from: 0, 10, keys: [3])
    let unread = try run(&ingest, from: 10, 100, keys: [50, 80])
    ingest.isRead = true
    let read = try run(&ingest, from: 110, 10, keys: [115])
    #expect(begun == [3] && unread == [50, 80] && read == [115, 116, 117, 118, 119])
  }

  @Test func `the clock of a track that is not read wraps all the same`() throws {
    var ingest = try #require(TrackIngest(.vp8, clockRate: 90_000))
    let wrap = (1 << 32) / 3000
    _ = try run(&ingest, from: 0, 2, keys: [0])
    ingest.isRead = false
    for start in stride(from: 2, to: 2 * wrap, by: wrap / 4) { _ = try run(&ingest, from: start, 1, keys: []) }
    ingest.isRead = true
    let read = try run(&ingest, from: 2 * wrap + 10, 2, keys: [2 * wrap + 10])
    #expect(read == [Int64(2 * wrap + 10), Int64(2 * wrap + 11)])
  }

  @Test func `unread sound is heard until its format is known`() throws {
    var ingest = try #require(TrackIngest(.opus, clockRate: 48_000))
    ingest.isRead = false
    let header = try Self.header(1, timestamp: 960)
    var outputs: [TrackIngest.Output] = []
    let first = ingest.wants(header, startsKeyFrame: true)
    ingest.receive(header, [0xfc, 0xff, 0xfe], now: .zero, into: &outputs)
    let second = ingest.wants(header, startsKeyFrame: true)
    // The format, and the frame.
    #expect(first && outputs.count == 2 && !second)
  }
}
