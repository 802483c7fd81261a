internal import MartletIO
internal import MartletPrimitives
internal import MartletSTUN
internal import MartletWebRTC

/// One TCP or TLS connection of a client: STUN and ChannelData messages behind one another (RFC 8656 §2.1).
internal final class TURNStream: TCPConnectionHandler, OutputSource, DatagramPath {
  internal let connection: TCPConnection
  internal let flow: TURNFlow
  private unowned let listener: TURNListener
  /// What the connection became with a ConnectionBind.
  private var pipe: TURNPipe?
  /// While that is being asked for.
  internal var isBinding = false
  /// It has had no allocation yet, and counts among those.
  internal var isWaiting = false
  /// The beginning of a message that is not complete.
  private var held: [UInt8] = []
  private var output = ByteRing()
  private var scratch: UnsafeMutableRawBufferPointer?

  /// How long one may be open without an allocation: a Binding takes no longer, nor does a challenge with its answer.
  private static let patience = TimeSpan.seconds(30)
  /// Bytes that wait for the client, beyond what the kernel takes; packets beyond are dropped, as a full link drops them.
  private static let outputLimit = 512 << 10
  /// What is no packet of a peer still has room then.
  private static let packetLimit = outputLimit / 4 * 3
  private static let limits = STUNLimits()

  internal init(_ connection: TCPConnection, path: UInt32, of listener: TURNListener) {
    self.connection = connection
    self.listener = listener
    flow = TURNFlow(remote: connection.remote, path: path, isStream: true)
    connection.handler = self
    connection.source = self
    connection.boundKernelOutput()
  }

  deinit { scratch?.deallocate() }

  /// Closes the connection if there is none in good time, and again when it has ended.
  internal func expectAllocation() {
    listener.context.schedule(after: Self.patience) { [weak self] in
      guard let self, self.connection.isOpen else { return }
      guard self.isInUse else { return self.connection.closeAfterFlush() }
      self.listener.leaveWaiting(self)
      self.expectAllocation()
    }
  }

  /// It has an allocation, or is a peer's.
  internal var isInUse: Bool { pipe != nil || isBinding || listener.server.hasAllocation(flow) }

  // MARK: In

  internal func connection(_ connection: TCPConnection, didReceive bytes: RawSpan) {
    if let pipe { return pipe.send(bytes) }
    do throws(STUNError) {
      guard held.isEmpty else {
        held.append(bytes)
        let whole = exchange(&held, with: [])
        let used = try receive(whole.span.bytes)
        held = Array(whole[min(used, whole.count)...])
        return
      }
      let used = try receive(bytes)
      if used < bytes.byteCount { held = Array(copying: bytes.extracting(used..<bytes.byteCount)) }
    } catch {
      // What is no message of either kind cannot be skipped.
      listener.context.log(.debug, "turn", "closed a connection: \(error)", ["peer": "\(connection.remote)"])
      connection.close()
    }
  }

  /// Takes the messages that are complete; answers how many bytes they were.
  private func receive(_ bytes: RawSpan) throws(STUNError) -> Int {
    var offset = 0
    while connection.isOpen, !isBinding, let (message, padded) = try frame(bytes.extracting(offset..<bytes.byteCount)),
      bytes.byteCount - offset >= padded
    {
      listener.receive(bytes.extracting(offset..<offset + message), from: flow)
      offset += padded
    }
    return offset
  }

  private func frame(_ bytes: RawSpan) throws(STUNError) -> (message: Int, padded: Int)? {
    // Text of other protocols begins like ChannelData, which nobody sends first.
    if let first = bytes.byte(at: 0), first >= 0x40, !listener.server.hasAllocation(flow) { throw .foreignProtocol(firstByte: first) }
    return try TURNStreamReader.frame(bytes, Self.limits, channels: listener.server.configuration.channels)
  }

  internal func connectionDidClose(_ connection: TCPConnection, _ reason: TCPConnection.CloseReason) {
    pipe?.close()
    pipe = nil
    listener.remove(self)
  }

  internal func connectionIsWritable(_ connection: TCPConnection) {}

  // MARK: As one end of a pipe

  /// What is read from now on is for the peer, and what was read behind the ConnectionBind.
  internal func join(_ pipe: TURNPipe) {
    self.pipe = pipe
    let rest = exchange(&held, with: [])
    if !rest.isEmpty { pipe.send(rest.span.bytes) }
  }

  internal var takesMore: Bool { output.count < Self.pipeHighWater }

  /// - Returns: false when the peer is not to be read on for now.
  internal func append(_ bytes: RawSpan) -> Bool {
    bytes.withUnsafeBytes { _ = output.append($0, UnsafeRawBufferPointer(start: nil, count: 0), limit: .max) }
    connection.setNeedsFlush()
    return takesMore
  }

  /// One read of the peer may go beyond it.
  private static let pipeHighWater = 256 << 10

  // MARK: Out

  internal func reserve(_ size: Int) -> UnsafeMutableRawBufferPointer? {
    guard connection.isOpen, size > 0 else { return nil }
    if (scratch?.count ?? 0) < size {
      scratch?.deallocate()
      scratch = .allocate(byteCount: max(size, 2048), alignment: 16)
    }
    return scratch.map { UnsafeMutableRawBufferPointer(rebasing: $0[..<size]) }
  }

  internal func commit(_ size: Int, to peer: SocketAddress) {
    guard let scratch, size <= scratch.count else { return }
    let message = UnsafeRawBufferPointer(rebasing: scratch[..<size])
    let isPacket = message.first.map { $0 >= 0x40 } ?? false
    if output.append(message, UnsafeRawBufferPointer(start: nil, count: 0), limit: isPacket ? Self.packetLimit : Self.outputLimit) {
      connection.setNeedsFlush()
    } else {
      listener.streamDrops += 1
    }
  }

  internal var isMidMessage: Bool { false }
  internal var hasMore: Bool { output.count > 0 }
  internal func gather(into vector: IOVector, _ scope: GatherScope) { output.gather(into: vector) }
  internal func advance(by count: Int) {
    output.advance(by: count)
    if let pipe, takesMore { pipe.streamTakesMore() }
  }
}
