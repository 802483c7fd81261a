import MartletICE
import MartletPrimitives
import TestSupport
import Testing

/// RFC 4571 §2.
@Suite struct StreamTests {
  private func read(_ bytes: [UInt8], _ reader: inout ICEStreamReader) throws(ICEError) -> [Slice] {
    var datagrams: [Slice] = []
    try reader.receive(bytes.span.bytes, into: &datagrams)
    return datagrams
  }

  @Test func `datagrams come out whole however the stream is cut`() throws {
    let datagrams = (0..<10).map { [UInt8](repeating: UInt8($0), count: $0 * 30) }
    var stream: [UInt8] = []
    for datagram in datagrams {
      let isWritten = ICEStream.write(datagram.span.bytes, into: &stream)
      #expect(isWritten)
    }
    for size in [1, 2, 3, 7, 64, stream.count] {
      var (reader, found) = (ICEStreamReader(), [Slice]())
      for start in stride(from: 0, to: stream.count, by: size) {
        found += try read(Array(stream[start..<min(start + size, stream.count)]), &reader)
      }
      #expect(found.map(\.array) == Array(datagrams.dropFirst()) && reader.heldBytes == 0)
    }
  }

  @Test func `a datagram beyond the limit ends the stream before it is held`() {
    var reader = ICEStreamReader(frameBytes: 100)
    #expect(throws: ICEError.limit("bytes of a datagram on TCP", maximum: 100)) { try read([0, 101], &reader) }
    var output: [UInt8] = []
    let isWritten = ICEStream.write([UInt8](repeating: 0, count: 65_536).span.bytes, into: &output)
    #expect(!isWritten && output.isEmpty)
  }
}
