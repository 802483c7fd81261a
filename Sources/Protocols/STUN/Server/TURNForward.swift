package import MartletPrimitives

/// A packet on its way to a peer.
package struct TURNForward: Equatable, Sendable {
  package let relay: TURNRelayID
  package let peer: SocketAddress
  /// Where it lies in the bytes that were received.
  package let data: Range<Int>
  package let dontFragment: Bool
}

/// How a packet from a peer goes to the client.
package struct TURNDelivery: Sendable {
  enum Framing: Sendable {
    case channel(UInt16)
    case indication(from: SocketAddress, TransactionID)
  }

  package let flow: TURNFlow
  let framing: Framing

  /// Bytes of the message that carries `count` bytes of a peer.
  package func size(of count: Int) -> Int {
    switch framing {
    case .channel: ChannelData.headerBytes + (flow.isStream ? STUN.padded(count) : count)
    case .indication(let peer, _): Self.headerBytes(peer) + STUN.padded(count)
    }
  }

  /// Writes the message into `buffer`, which has `size(of: data.count)` bytes. `data` is at most 65,507 bytes, as datagrams are.
  package func write(_ data: UnsafeRawBufferPointer, into buffer: UnsafeMutableRawBufferPointer) {
    precondition(buffer.count == size(of: data.count), "the buffer has the size of the message")
    let header: Int
    switch framing {
    case .channel(let number):
      buffer.storeBytes(of: number.bigEndian, as: UInt16.self)
      buffer.storeBytes(of: UInt16(truncatingIfNeeded: data.count).bigEndian, toByteOffset: 2, as: UInt16.self)
      header = ChannelData.headerBytes
    case .indication(let peer, let transaction):
      header = Self.writeHeader(peer, transaction, data.count, buffer)
    }
    UnsafeMutableRawBufferPointer(rebasing: buffer[header...]).copyMemory(from: data)
    for index in header + data.count..<buffer.count { buffer[index] = 0 }
  }

  /// Header of the message, XOR-PEER-ADDRESS, and that of DATA.
  private static func headerBytes(_ peer: SocketAddress) -> Int {
    if case .v4 = peer.ip { STUN.headerBytes + 12 + 4 } else { STUN.headerBytes + 24 + 4 }
  }

  private static func writeHeader(
    _ peer: SocketAddress, _ transaction: TransactionID, _ count: Int, _ buffer: UnsafeMutableRawBufferPointer
  ) -> Int {
    var at = 0
    func put<T: FixedWidthInteger & BitwiseCopyable>(_ value: T) {
      buffer.storeBytes(of: value.bigEndian, toByteOffset: at, as: T.self)
      at += MemoryLayout<T>.size
    }
    put(STUNMessageType.encode(.indication, .data))
    put(UInt16(truncatingIfNeeded: buffer.count - STUN.headerBytes))
    put(STUN.magicCookie)
    put(transaction.high)
    put(transaction.low)
    put(STUNAttributeType.xorPeerAddress.rawValue)
    put(UInt16(headerBytes(peer) - STUN.headerBytes - 8))
    let port = peer.port ^ UInt16(truncatingIfNeeded: STUN.magicCookie >> 16)
    switch peer.ip {
    case .v4(let value):
      put(UInt32(AddressFamily.v4.rawValue) << 16 | UInt32(port))
      put(value ^ STUN.magicCookie)
    case .v6(let high, let low):
      put(UInt32(AddressFamily.v6.rawValue) << 16 | UInt32(port))
      put(high ^ (UInt64(STUN.magicCookie) << 32 | UInt64(transaction.high)))
      put(low ^ transaction.low)
    }
    put(STUNAttributeType.data.rawValue)
    put(UInt16(truncatingIfNeeded: count))
    return at
  }
}

/// A Send indication (RFC 8656 §11.1), read without allocating: it may come once for each packet.
struct SendIndication {
  let peer: SocketAddress
  let data: Range<Int>
  let dontFragment: Bool

  /// `nil` for any other message, and for one that lacks peer or data or has something unknown that it requires.
  init?(_ bytes: RawSpan) {
    guard STUN.isMessage(bytes) else { return nil }
    var reader = ByteReader(bytes)
    var (peer, data, dontFragment): (SocketAddress?, Range<Int>?, Bool) = (nil, nil, false)
    do throws(ParseError) {
      guard try reader.u16() == STUNMessageType.encode(.indication, .send) else { return nil }
      try reader.skip(6)
      let transaction = TransactionID(high: try reader.u32(), low: try reader.u64())
      while !reader.isAtEnd {
        let number = try reader.u16()
        let length = Int(try reader.u16())
        let value = reader.offset..<reader.offset + length
        try reader.skip(STUN.padded(length))
        switch STUNAttributeType(rawValue: number) {
        case .xorPeerAddress where peer == nil:
          var field = ByteReader(bytes.extracting(value))
          peer = try field.address(xor: transaction)
        case .data where data == nil: data = value
        case .dontFragment: dontFragment = true
        case nil where number < 0x8000: return nil
        default: break
        }
      }
    } catch { return nil }
    guard let peer, let data else { return nil }
    (self.peer, self.data, self.dontFragment) = (peer, data, dontFragment)
  }
}
