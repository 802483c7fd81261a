internal import MartletPrimitives

/// Compressors and decompressors that connections of one loop take turns with: those without a window of their own need one
/// for the time of a message only.
package final class DeflatePool {
  /// Kept for the next message; more are only there while as many messages are under way.
  private static let spare = 4
  private var inflaters: [Inflater] = []
  private var deflaters: [UInt16: Deflater] = [:]

  package init() {}

  internal func takeInflater(maximum: Int) -> Inflater {
    guard let inflater = inflaters.popLast() else { return Inflater(.raw, maximum: maximum) }
    inflater.reset(maximum: maximum)
    return inflater
  }

  internal func giveBack(_ inflater: Inflater) {
    if inflaters.count < Self.spare { inflaters.append(inflater) }
  }

  /// `payload` as a message of permessage-deflate that refers to nothing before it (RFC 7692 §7.2.1).
  package func compress(_ payload: RawSpan, level: Int, windowBits: Int) -> [UInt8] {
    let key = UInt16(truncatingIfNeeded: level << 8 | windowBits)
    let deflater = deflaters[key] ?? Deflater(.raw, level: level, windowBits: windowBits)
    deflaters[key] = deflater
    deflater.reset()
    return deflater.message(payload)
  }
}

/// One connection's part in permessage-deflate, once it is agreed on.
package struct MessageCompression {
  /// The windows that outlive a message.
  private final class Windows {
    var inflater: Inflater?
    var deflater: Deflater?
  }

  private let pool: DeflatePool
  private var windows: Windows?
  private let settings: DeflateSettings
  private let own: DeflateAgreement.Direction
  private let peerKeepsWindow: Bool

  /// - Parameter isServer: which half of the agreement is ours.
  package init(_ agreement: DeflateAgreement, _ settings: DeflateSettings, isServer: Bool, pool: DeflatePool) {
    self.pool = pool
    self.settings = settings
    own = isServer ? agreement.server : agreement.client
    peerKeepsWindow = isServer ? agreement.client.keepsWindow : agreement.server.keepsWindow
    if own.keepsWindow || peerKeepsWindow { windows = Windows() }
  }

  /// A message compressed for everybody (`WebSocketImage`) may be sent here: our window begins anew with each message, and
  /// the peer's is of full size.
  internal var takesImages: Bool { !own.keepsWindow && own.windowBits == 15 }

  /// The compressed form of a message, or `nil` when it goes as it is: too short, of a kind that is not compressed, or no
  /// smaller.
  internal func compress(_ isText: Bool, _ payload: RawSpan) -> [UInt8]? {
    guard payload.byteCount >= max(1, Int(settings.minimumBytes)), isText || settings.compressesBinary else { return nil }
    let (level, bits) = (Int(settings.level), Int(own.windowBits))
    guard own.keepsWindow, let windows else {
      let packed = pool.compress(payload, level: level, windowBits: bits)
      return packed.count < payload.byteCount ? packed : nil
    }
    // The peer's window has to see what ours saw, so it is sent even when it grew.
    let deflater = windows.deflater ?? Deflater(.raw, level: level, windowBits: bits)
    windows.deflater = deflater
    return deflater.message(payload)
  }

  /// What inflates the next message, up to `maximum` bytes.
  internal func beginMessage(maximum: Int) -> Inflater {
    guard peerKeepsWindow, let windows else { return pool.takeInflater(maximum: maximum) }
    let inflater = windows.inflater ?? Inflater(.raw, maximum: maximum)
    windows.inflater = inflater
    inflater.reset(maximum: maximum, keepingWindow: true)
    return inflater
  }

  internal func endMessage(_ inflater: Inflater) { if !peerKeepsWindow { pool.giveBack(inflater) } }
}

extension Deflater {
  /// RFC 7692 §7.2.1: flushed to a byte, the four bytes of the empty block at the end left out.
  internal func message(_ payload: RawSpan) -> [UInt8] {
    var output: [UInt8] = []
    output.reserveCapacity(payload.byteCount / 3 + 64)
    compress(payload, flush: .sync, into: &output)
    output.removeLast(min(4, output.count))
    return output
  }
}

extension Inflater {
  /// Inflates part of a message.
  ///
  /// - Throws: 1009 beyond the maximum, before the memory for it is there; 1007 for what is no compressed data.
  internal func inflatePart(_ part: RawSpan, into output: inout [UInt8]) throws(WebSocketError) {
    var offset = 0
    do throws(ParseError) {
      while offset < part.byteCount {
        continueBehindEnd()
        let taken = try decompress(part.extracting(offset..<part.byteCount), into: &output)
        guard taken > 0 else { throw .invalid("data behind the end", at: offset) }
        offset += taken
      }
    } catch {
      if case .limit(_, let maximum) = error { throw WebSocketError(.messageTooBig, "a message inflates to more than \(maximum) bytes") }
      throw WebSocketError(.invalidPayload, "a compressed message is damaged")
    }
  }

  private static let tail: [UInt8] = [0, 0, 0xFF, 0xFF]

  /// Puts back what the sender left out (§7.2.2), behind the last part of a message.
  internal func inflateTail(into output: inout [UInt8]) throws(WebSocketError) {
    let tail = Self.tail
    try inflatePart(tail.span.bytes, into: &output)
    guard isBetweenBlocks else { throw WebSocketError(.invalidPayload, "a compressed message ends inside a block") }
  }
}
