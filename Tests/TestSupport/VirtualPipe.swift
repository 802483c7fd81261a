package import MartletPrimitives

/// One end of a reliable byte pipe over a `VirtualNetwork`: go-back-N in both directions, enough to give a byte protocol what
/// TCP gives it, pieces of any length, stalls after losses, and an end that may come anywhere.
///
/// A segment is a sequence number, an acknowledgement, flags and data. Numbers are bytes since the start.
package struct VirtualPipe: Sendable {
  private static let window = 32 * 1024
  private static let headBytes = 9
  private static let endFlag: UInt8 = 1
  private static let resetFlag: UInt8 = 2

  package let local: SocketAddress
  package let remote: SocketAddress
  private let segmentBytes: Int
  private let retransmission: TimeSpan

  private var outbox: [UInt8] = []
  /// The number of `outbox[0]`: everything before is acknowledged.
  private var acknowledged = 0
  private var sent = 0
  private var ends = false, endIsAcknowledged = false
  private var received = 0
  private var arrived: [UInt8] = []
  private var owesAcknowledgement = false
  private var timer: Instant?
  private var mustReset = false
  /// The peer said that no more will come, and all before that was received.
  package private(set) var isAtEnd = false
  /// The connection broke: nothing more goes in either direction.
  package private(set) var isBroken = false
  /// Segments sent again.
  package private(set) var retransmissions = 0

  package init(local: SocketAddress, remote: SocketAddress, mtu: Int = 1400, retransmission: TimeSpan = .milliseconds(200)) {
    self.local = local
    self.remote = remote
    segmentBytes = mtu - Self.headBytes
    self.retransmission = retransmission
  }

  package mutating func write(_ bytes: [UInt8]) {
    guard !ends, !isBroken else { return }
    outbox += bytes
  }

  /// What was written arrives, then the end.
  package mutating func finish() { ends = true }

  /// Breaks the connection here and, if the news gets through, there.
  package mutating func reset() {
    guard !isBroken else { return }
    isBroken = true
    mustReset = true
    timer = nil
  }

  /// Bytes that arrived in order since the last call.
  package mutating func read() -> [UInt8] { exchange(&arrived, with: []) }

  package var isDrained: Bool { outbox.isEmpty && (!ends || endIsAcknowledged) }
  package var deadline: Instant? { timer }

  package mutating func timeout(now: Instant) {
    guard let timer, now >= timer else { return }
    self.timer = nil
    if sent > acknowledged { retransmissions += 1 }
    sent = acknowledged
  }

  package mutating func receive(_ bytes: [UInt8], now: Instant) {
    var reader = ByteReader(bytes.span.bytes)
    guard !isBroken, let sequence = try? reader.u32(), let acknowledgement = try? reader.u32(), let flags = try? reader.u8() else { return }
    if flags & Self.resetFlag != 0 {
      isBroken = true
      timer = nil
      return
    }
    take(acknowledgement: Int(acknowledgement), now)
    let data = reader.rest()
    guard !data.isEmpty || flags & Self.endFlag != 0 else { return }
    owesAcknowledgement = true
    guard Int(sequence) == received, !isAtEnd else { return }
    arrived.append(data)
    received += data.byteCount
    // The end takes a number of its own, so that it is acknowledged too.
    if flags & Self.endFlag != 0 {
      received += 1
      isAtEnd = true
    }
  }

  private mutating func take(acknowledgement: Int, _ now: Instant) {
    let progress = acknowledgement - acknowledged
    guard progress > 0 else { return }
    endIsAcknowledged = progress > outbox.count
    outbox.removeFirst(min(progress, outbox.count))
    acknowledged = acknowledgement
    sent = max(sent, acknowledged)
    timer = sent > acknowledged ? now + retransmission : nil
  }

  /// The next segment to send, if any.
  package mutating func pollTransmit(now: Instant) -> VirtualNetwork.Datagram? {
    if mustReset {
      mustReset = false
      return segment([], Self.resetFlag)
    }
    guard !isBroken else { return nil }
    let offset = sent - acknowledged
    if offset < outbox.count, offset < Self.window {
      return transmit(Array(outbox[offset..<min(offset + segmentBytes, outbox.count)]), 0, now)
    }
    if ends, !endIsAcknowledged, offset == outbox.count { return transmit([], Self.endFlag, now) }
    guard owesAcknowledgement else { return nil }
    owesAcknowledgement = false
    return segment([], 0)
  }

  private mutating func transmit(_ data: [UInt8], _ flags: UInt8, _ now: Instant) -> VirtualNetwork.Datagram {
    owesAcknowledgement = false
    let datagram = segment(data, flags)
    sent += data.count + (flags & Self.endFlag != 0 ? 1 : 0)
    if timer == nil { timer = now + retransmission }
    return datagram
  }

  private func segment(_ data: [UInt8], _ flags: UInt8) -> VirtualNetwork.Datagram {
    var writer = ByteWriter(capacity: Self.headBytes + data.count)
    writer.u32(UInt32(truncatingIfNeeded: sent))
    writer.u32(UInt32(truncatingIfNeeded: received))
    writer.u8(flags)
    writer.append(data)
    return VirtualNetwork.Datagram(from: local, to: remote, bytes: writer.bytes)
  }
}
