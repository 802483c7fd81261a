package import MartletICE
package import MartletIO
package import MartletPeerEngine
package import MartletPrimitives
package import MartletRTP
package import MartletSCTP

/// What a session's owner hears, on the loop's thread. It may close the session from inside any of these calls.
package protocol PeerSessionHandler: AnyObject {
  func session(_ session: PeerSession, didChange state: PeerTransport.State)
  /// Media, decrypted: `packet` says where in `buffer`, which is valid during the call only.
  func session(_ session: PeerSession, didReceive packet: IncomingMedia.Packet, in buffer: UnsafeRawBufferPointer)
  func session(_ session: PeerSession, didReceive event: PeerMedia.Event)
  /// Of data channels, once they were enabled.
  func session(_ session: PeerSession, didReceive event: DataChannelEvent)
  func session(_ session: PeerSession, didRaise event: ICEEvent)
  /// Everything that came in this turn has been handed over.
  func sessionDidReceiveBatch(_ session: PeerSession)
  /// A deadline of the owner's own (`PeerSession.ownDeadline`) may have passed.
  func sessionDidWake(_ session: PeerSession)
}

extension PeerSessionHandler {
  package func session(_ session: PeerSession, didReceive packet: IncomingMedia.Packet, in buffer: UnsafeRawBufferPointer) {}
  package func session(_ session: PeerSession, didReceive event: DataChannelEvent) {}
  package func session(_ session: PeerSession, didRaise event: ICEEvent) {}
  package func sessionDidReceiveBatch(_ session: PeerSession) {}
  package func sessionDidWake(_ session: PeerSession) {}
}

/// One peer on a loop: the engine between sockets and an owner. It sends what the engine has to send, wakes it when it wants to be
/// woken, and tells the owner what happened.
package final class PeerSession {
  // What every packet that leaves is led by comes first, side by side.
  /// What is sent over now, and where to; `nil` while nothing may be sent.
  private var path: (sink: any DatagramPath, remote: SocketAddress)?
  package let transport: PeerTransport
  package let clock: PeerClock
  package private(set) var bytesSent = 0
  /// Of media.
  package private(set) var packetsSent = 0
  package var media: PeerMedia
  package let context: LoopContext
  package var handler: (any PeerSessionHandler)?
  /// When the owner wants `sessionDidWake`.
  package var ownDeadline: Instant? {
    didSet { if let ownDeadline, ownDeadline < armedFor { arm(for: ownDeadline) } }
  }
  /// The publisher's clock of a track that is sent, for its sender reports.
  package var publisherClocks: [MediaClock?] = []
  package private(set) var bytesReceived = 0
  /// Of media.
  package private(set) var packetsReceived = 0
  /// Bytes of probes that were nothing else.
  package private(set) var paddingSent = 0
  private var rates = (incoming: RateMeter(), outgoing: RateMeter())

  /// The names under which a shared socket knows it.
  private(set) var fragments: [String] = []
  private(set) var addresses: [SocketAddress] = []
  var isTouched = false
  private weak var socket: PeerSocket?
  /// By `ICEBase.socket`.
  private var paths: [UInt32: any DatagramPath] = [:]
  /// One association for all data channels (RFC 8831).
  private var channels: DataChannelSession?
  /// While true nothing is handed up, and the peer is stopped once the receive buffer is full.
  package var isDataPaused = false
  private var timer: SlabID?
  private var armedFor = Instant.distantFuture
  private var isClosed = false

  /// Addresses of one peer that a shared socket remembers.
  private static let maximumAddresses = 8

  package init(_ transport: PeerTransport, _ media: PeerMedia, clock: PeerClock, in context: LoopContext) {
    self.transport = transport
    self.media = media
    self.clock = clock
    self.context = context
  }

  package var state: PeerTransport.State { transport.state }

  // MARK: Paths

  /// Shares a worker's socket with others. Candidates are added to `transport` by the caller.
  package func attach(to socket: PeerSocket) {
    self.socket = socket
    paths[socket.base.socket] = socket.socket
    if let streams = socket.streams { paths[streams.base.socket] = streams }
    fragments.append(transport.localCredentials.fragment)
    socket.add(self)
  }

  package func attach(_ path: any DatagramPath, as index: UInt32) { paths[index] = path }

  /// RFC 8445 §9; answers the credentials to signal.
  package func restartICE() -> ICECredentials {
    let credentials = transport.restartICE(now: context.now)
    fragments.append(credentials.fragment)
    if fragments.count > 2 { fragments.removeFirst() }
    socket?.add(self, fragment: credentials.fragment)
    settle()
    return credentials
  }

  // MARK: In

  package func receive(_ datagram: UnsafeMutableRawBufferPointer, from remote: SocketAddress, on base: ICEBase) {
    guard !isClosed else { return }
    let now = context.now
    bytesReceived += datagram.count
    switch transport.receive(datagram, from: remote, on: base, now: now) {
    case .rtp(let count):
      packetsReceived += 1
      let packet = UnsafeMutableRawBufferPointer(rebasing: datagram[..<count])
      if let received = media.incoming.receive(packet, now: now) {
        handler?.session(self, didReceive: received, in: UnsafeRawBufferPointer(packet))
      }
      while let (recovered, bytes) = media.incoming.pollRecovered(now: now) {
        bytes.withUnsafeBytes { handler?.session(self, didReceive: recovered, in: $0) }
      }
    case .rtcp(let count):
      media.receiveControl(UnsafeRawBufferPointer(rebasing: datagram[..<count]).bytes, now: now, ntp: clock.ntp(at: now))
      drainMedia()
    case .records: receiveRecords(now)
    case .nothing: remember(remote, base)
    }
  }

  /// An address that has passed a check finds this session without a look at what it sends.
  private func remember(_ remote: SocketAddress, _ base: ICEBase) {
    guard let socket, base == socket.base, !addresses.contains(remote), transport.isValidated(base, remote) else { return }
    if addresses.count == Self.maximumAddresses {
      // Never the one in use.
      let old = addresses.firstIndex { $0 != transport.selectedPair?.remote } ?? 0
      socket.release(addresses.remove(at: old), of: self)
    }
    addresses.append(remote)
    socket.claim(remote, for: self)?.forget(remote)
  }

  private func forget(_ address: SocketAddress) { addresses.removeAll { $0 == address } }

  private func drainMedia() {
    while !isClosed, let event = media.pollEvent() { handler?.session(self, didReceive: event) }
  }

  private func receiveRecords(_ now: Instant) {
    var records = exchange(&transport.records, with: DatagramBatch())
    for index in 0..<records.count { channels?.receive(records[index], now: now) }
    records.removeAll()
    transport.records = records
  }

  // MARK: Out

  /// Whether media and data may be sent.
  package var canSend: Bool { path != nil && transport.canSend }

  /// Sends one RTP packet, encrypted straight into the socket's memory; it leaves at the end of the turn.
  package func send(_ fields: RTPHeaderFields, payload: RawSpan, now: Instant) { send(fields, payload, as: .first, now) }

  private func send(_ fields: RTPHeaderFields, _ payload: RawSpan, as kind: PeerMedia.SentKind, _ now: Instant) {
    guard let path else { return }
    var writer = header(fields, payloadBytes: payload.byteCount, as: kind, now)
    let size = writer.count + payload.byteCount + transport.rtpOverhead
    if let slot = path.sink.reserve(size), transport.protect(header: writer.bytes.span.bytes, payload: payload, into: slot) == size {
      path.sink.commit(size, to: path.remote)
      count(size)
    }
    let repair = media.repair(fields, header: writer.bytes.span.bytes, payload: payload, now: now)
    swap(&writer, &clock.writer)
    if let (fields, payload) = repair { send(fields, payload: payload.span.bytes, now: now) }
  }

  /// Sends packet `number` of a track again: in its retransmission stream (RFC 4588) where the peer has agreed to one, else as it was.
  package func resend(_ fields: RTPHeaderFields, number: UInt16, of track: Int, payload: RawSpan, now: Instant) {
    if media.outgoing[track].parameters.rtx == nil {
      send(fields, payload, as: .repetition, now)
    } else {
      send(fields, originalSequenceNumber: number, payload: payload, now)
    }
  }

  private func send(_ fields: RTPHeaderFields, originalSequenceNumber: UInt16, payload: RawSpan, _ now: Instant) {
    guard let path else { return }
    var writer = header(fields, payloadBytes: RTX.overhead + payload.byteCount, as: .first, now)
    let size = writer.count + RTX.overhead + payload.byteCount + transport.rtpOverhead
    if let slot = path.sink.reserve(size),
      transport.protect(
        header: writer.bytes.span.bytes, originalSequenceNumber: originalSequenceNumber, payload: payload, into: slot) == size
    {
      path.sink.commit(size, to: path.remote)
      count(size)
    }
    swap(&writer, &clock.writer)
  }

  /// The header, in the loop's writer, which is given back after use.
  private func header(_ fields: RTPHeaderFields, payloadBytes: Int, as kind: PeerMedia.SentKind, _ now: Instant) -> ByteWriter {
    var writer = exchange(&clock.writer, with: ByteWriter())
    writer.removeAll()
    if let stamp = stamp(fields, payloadBytes, kind, now) { fields.write(stamp, into: &writer) } else { fields.write(into: &writer) }
    return writer
  }

  private func stamp(_ fields: RTPHeaderFields, _ payloadBytes: Int, _ kind: PeerMedia.SentKind, _ now: Instant) -> PathStamp? {
    guard media.congestion != nil else { return nil }
    let bytes = fields.stampedByteCount + payloadBytes + transport.rtpOverhead
    return media.stamp(fields, bytes: bytes, as: kind, now: now)
  }

  /// Sends the padding that a probe of the path lacks so far. Answers when to come back while one is under way.
  package func pad(now: Instant) -> Instant? {
    guard media.congestion?.isProbing(now) == true, let track = media.paddedTrack, let path else { return nil }
    // A cluster has some tens of kilobytes at most.
    for _ in 0..<Self.mostPadding where (media.congestion?.padding(now) ?? 0) > 0 {
      guard let fields = media.outgoing[track].pad() else { return nil }
      sendPadding(fields, path, now)
    }
    return media.congestion?.isProbing(now) == true ? now + Self.probeStep : nil
  }

  private func sendPadding(_ fields: RTPHeaderFields, _ path: (sink: any DatagramPath, remote: SocketAddress), _ now: Instant) {
    var writer = header(fields, payloadBytes: Self.padding.count, as: .padding, now)
    let size = writer.count + Self.padding.count + transport.rtpOverhead
    if let slot = path.sink.reserve(size),
      transport.protect(header: writer.bytes.span.bytes, payload: Self.padding.span.bytes, into: slot) == size
    {
      path.sink.commit(size, to: path.remote)
      bytesSent += size
      paddingSent += size
    }
    swap(&writer, &clock.writer)
  }

  private static let mostPadding = 256
  private static let probeStep = TimeSpan.milliseconds(3)
  /// RFC 3550 §5.1: the last byte counts them all.
  private static let padding = [UInt8](repeating: 0, count: 254) + [255]

  private func count(_ size: Int) {
    packetsSent += 1
    bytesSent += size
  }

  /// Sends what the engine has to send, tells the owner what happened, and sees to being woken. To be called after anything that was
  /// done to `transport` or `media` from outside.
  package func settle() {
    guard !isClosed else { return }
    flush()
    while !isClosed, let event = transport.pollEvent() { tell(event) }
    if !isClosed { pumpChannels() }
    guard !isClosed else { return }
    handler?.sessionDidReceiveBatch(self)
    guard !isClosed else { return }
    sendChannels()
    flush()
    arm()
  }

  /// The same at the end of the turn, for who is inside a call from here.
  package func settleSoon() { context.atEndOfTurn { [weak self] in self?.settle() } }

  private func flush() {
    while let transmit = transport.pollTransmit() { paths[transmit.base.socket]?.send(transmit.bytes.span.bytes, to: transmit.to) }
    guard transport.hasRecords else { return }
    var batch = exchange(&clock.batch, with: DatagramBatch())
    if let target = transport.takeRecords(into: &batch), let sink = paths[target.base.socket] {
      for index in 0..<batch.count { sink.send(batch[index], to: target.remote) }
      bytesSent += batch.byteCount
    }
    batch.removeAll()
    clock.batch = batch
  }

  private func tell(_ event: PeerTransport.Event) {
    switch event {
    case .ice(let event):
      if case .selected(let pair) = event { path = paths[pair.base.socket].map { ($0, pair.remote) } }
      if case .consentLost = event { path = nil }
      handler?.session(self, didRaise: event)
    case .stateChanged(let state):
      if state == .connected { channels?.start(now: context.now) }
      handler?.session(self, didChange: state)
    }
  }

  // MARK: Data channels

  /// Begins when DTLS is connected. The offer and answer say the ports and the peer's largest message.
  package func enableDataChannels(port: UInt16, largestMessage: Int, isClient: Bool, random: RandomSource) {
    guard channels == nil else { return }
    var configuration = SCTPConfiguration()
    configuration.remotePort = port
    var limits = DataChannelLimits()
    limits.outgoingMessage = largestMessage
    channels = DataChannelSession(configuration, isClient: isClient, limits: limits, random: random)
    if transport.state == .connected { channels?.start(now: context.now) }
  }

  package var dataStatistics: SCTPStatistics? { channels?.statistics }

  package func openChannel(_ options: DataChannelOptions) throws(DataChannelError) -> UInt16 {
    guard channels != nil, !isClosed else { throw .transport(.closed) }
    return try channels?.open(options, now: context.now) ?? 0
  }

  /// Queues a message; it leaves with `settle`.
  /// - Returns: false when the sender should wait for `bufferedAmountLow`.
  @discardableResult package func send(_ kind: DataChannelKind, _ payload: Slice, on id: UInt16) throws(DataChannelError) -> Bool {
    guard channels != nil, !isClosed else { throw .transport(.closed) }
    return try channels?.send(kind, payload, on: id, now: context.now) ?? false
  }

  package func closeChannel(_ id: UInt16) { channels?.close(id) }
  package func setLowThreshold(_ bytes: Int, of id: UInt16) { channels?.setLowThreshold(bytes, of: id) }
  package func bufferedAmount(of id: UInt16) -> Int { channels?.bufferedAmount(of: id) ?? 0 }

  private func pumpChannels() {
    while !isClosed, !isDataPaused, let event = channels?.pollEvent(now: context.now) { handler?.session(self, didReceive: event) }
  }

  /// What congestion control allows now.
  private func sendChannels() {
    guard channels != nil, transport.state == .connected || transport.state == .disconnected else { return }
    var batch = exchange(&clock.packets, with: DatagramBatch())
    repeat {
      batch.removeAll()
      channels?.takeOutput(into: &batch, now: context.now)
      for index in 0..<batch.count { transport.sendRecord(batch[index]) }
    } while !batch.isEmpty
    clock.packets = batch
  }

  // MARK: Time

  private func arm() {
    let now = context.now
    let engine = Instant.earliest(transport.deadline(now: now), transport.canSend ? media.deadline : nil)
    guard let next = Instant.earliest(engine, .earliest(channels?.deadline, ownDeadline)) else { return }
    if next < armedFor { arm(for: next) }
  }

  private func arm(for deadline: Instant) {
    guard !isClosed else { return }
    if let timer { context.cancel(timer) }
    armedFor = deadline
    timer = context.schedule(at: deadline) { [weak self] in self?.wake() }
  }

  private func wake() {
    (timer, armedFor) = (nil, .distantFuture)
    let now = context.now
    sampleRates(now)
    transport.timeout(now: now)
    if let due = channels?.deadline, due <= now { channels?.timeout(now: now) }
    if transport.canSend, let due = media.deadline, due <= now { sendControl(now) }
    if let due = ownDeadline, due <= now {
      ownDeadline = nil
      handler?.sessionDidWake(self)
    }
    settle()
  }

  /// Reports wake a session with media about once a second.
  private func sampleRates(_ now: Instant) {
    rates.incoming.sample(bytesReceived, now: now)
    rates.outgoing.sample(bytesSent, now: now)
  }

  /// Bits of the last second, of all that came and went.
  package var bitrates: (incoming: Int, outgoing: Int) {
    let now = context.now
    return (rates.incoming.bitrate(bytesReceived, now: now), rates.outgoing.bitrate(bytesSent, now: now))
  }

  private func sendControl(_ now: Instant) {
    var batch = exchange(&clock.batch, with: DatagramBatch())
    media.poll(now: now, ntp: clock.ntp(at: now), clocks: publisherClocks, into: &batch)
    if let path {
      for index in 0..<batch.count {
        let size = batch[index].byteCount + transport.rtcpOverhead
        guard let slot = path.sink.reserve(size), transport.protectControl(batch[index], into: slot) == size else { continue }
        path.sink.commit(size, to: path.remote)
        bytesSent += size
      }
    }
    batch.removeAll()
    clock.batch = batch
  }

  // MARK: The end

  /// Says goodbye if there is a path, and is gone. The owner hears nothing of it.
  package func close() {
    guard !isClosed else { return }
    isClosed = true
    transport.close(now: context.now)
    if let farewell = transport.farewell, let sink = paths[farewell.path.base.socket] {
      for index in 0..<farewell.datagrams.count { sink.send(farewell.datagrams[index], to: farewell.path.remote) }
    }
    if let timer { context.cancel(timer) }
    socket?.remove(self)
    (handler, path, paths) = (nil, nil, [:])
  }
}
