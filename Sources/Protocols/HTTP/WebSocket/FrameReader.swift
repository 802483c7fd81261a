internal import MartletPrimitives

/// Collects frame headers (RFC 6455 §5.2) from pieces of any size and checks what can be told from a header alone.
package struct FrameReader: Sendable {
  package struct Header: Equatable, Sendable {
    package var opcode: WebSocketOpcode
    package var fin: Bool
    package var rsv1: Bool
    package var mask: UInt32?
    package var length: Int
  }

  private var collected: [UInt8] = []
  private let expectsMask: Bool
  private let allowsRSV1: Bool

  /// - Parameters:
  ///   - expectsMask: frames come from a client (§5.1).
  ///   - allowsRSV1: an extension that uses RSV1 was negotiated.
  package init(expectsMask: Bool, allowsRSV1: Bool = false) {
    self.expectsMask = expectsMask
    self.allowsRSV1 = allowsRSV1
  }

  /// Whether part of a header is held.
  package var isMidHeader: Bool { !collected.isEmpty }

  /// The next header, `offset` behind it; `nil` when more bytes are needed.
  ///
  /// - Throws: 1002, as early as the first bytes tell.
  package mutating func next(_ bytes: RawSpan, at offset: inout Int) throws(WebSocketError) -> Header? {
    while let byte = bytes.byte(at: offset) {
      collected.append(byte)
      offset += 1
      if collected.count == 2 { try checkFirstTwo() }
      if collected.count >= 2, collected.count == size {
        defer { collected.removeAll(keepingCapacity: true) }
        return try parse()
      }
    }
    return nil
  }

  /// Bytes of the header, as its second byte tells.
  private var size: Int {
    let lengthField = collected[1] & 0x7F
    return 2 + (lengthField == 127 ? 8 : lengthField == 126 ? 2 : 0) + (collected[1] & 0x80 == 0 ? 0 : 4)
  }

  private func checkFirstTwo() throws(WebSocketError) {
    let (first, second) = (collected[0], collected[1])
    guard first & 0x30 == 0, first & 0x40 == 0 || allowsRSV1 else { throw Self.fault("a reserved bit is set without an extension") }
    guard let opcode = WebSocketOpcode(rawValue: first & 0x0F) else { throw Self.fault("opcode \(first & 0x0F) is reserved") }
    if opcode.isControl {
      guard first & 0x80 != 0 else { throw Self.fault("a control frame is fragmented") }
      guard second & 0x7F <= 125 else { throw Self.fault("a control frame holds more than 125 bytes") }
    }
    if first & 0x40 != 0, opcode.isControl || opcode == .continuation {
      throw Self.fault("RSV1 is set on a frame that does not begin a message")
    }
    guard (second & 0x80 != 0) == expectsMask else {
      throw Self.fault(expectsMask ? "a frame from a client is not masked" : "a frame from a server is masked")
    }
  }

  private func parse() throws(WebSocketError) -> Header? {
    var reader = ByteReader(collected.span.bytes)
    do {
      let (first, second) = (try reader.u8(), try reader.u8())
      var length = UInt64(second & 0x7F)
      // §5.2: the minimal number of bytes must be used to encode the length.
      if length == 126 {
        length = UInt64(try reader.u16())
        guard length > 125 else { throw Self.fault("a frame's length is not in its shortest form") }
      } else if length == 127 {
        length = try reader.u64()
        guard length > 0xFFFF else { throw Self.fault("a frame's length is not in its shortest form") }
        guard length <= UInt64(Int.max) else { throw Self.fault("a frame's length has its top bit set") }
      }
      let mask = second & 0x80 == 0 ? nil : try reader.u32()
      guard let opcode = WebSocketOpcode(rawValue: first & 0x0F) else { return nil }
      return Header(opcode: opcode, fin: first & 0x80 != 0, rsv1: first & 0x40 != 0, mask: mask, length: Int(length))
    } catch let error as WebSocketError {
      throw error
    } catch {
      return nil
    }
  }

  private static func fault(_ reason: String) -> WebSocketError { WebSocketError(.protocolError, reason) }
}
