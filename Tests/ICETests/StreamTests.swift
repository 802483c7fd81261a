import MartletICE
import MartletPrimitives
import TestSupport
import Testing

/// RFC 4571 §2.
@Suite struct StreamTests {
  private func read(_ bytes: [UInt8], _ reader: inout ICEStreamReader) throws(ICEError) -> [Slice] {
    let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 400, alignment: 1)
    defer { room.deallocate() }
    var (found, offset) = ([Slice](), 0)
    while let count = try reader.next(in: bytes.span.bytes, at: &offset, into: room) {
      found.append(Slice(copying: UnsafeRawBufferPointer(rebasing: room[..<count]).bytes))
    }
    return found
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
    var reader = ICEStreamReader()
    #expect(throws: ICEError.limit("bytes of a datagram on TCP", maximum: 400)) { try read([1, 145], &reader) }
    // Also when its length was cut.
    #expect(throws: ICEError.limit("bytes of a datagram on TCP", maximum: 400)) {
      let first = try read([255], &reader)
      #expect(first.isEmpty)
      _ = try read([255], &reader)
    }
    var output: [UInt8] = []
    let isWritten = ICEStream.write([UInt8](repeating: 0, count: 65_536).span.bytes, into: &output)
    #expect(!isWritten && output.isEmpty)
  }
}
