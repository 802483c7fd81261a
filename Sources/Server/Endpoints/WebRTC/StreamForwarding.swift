internal import MartletCodecs
internal import MartletIO
internal import MartletMedia
internal import MartletPeerEngine
internal import MartletPrimitives
internal import MartletRTP
internal import MartletSDP
internal import MartletWebRTC

/// What hears of a forwarding's stream.
internal protocol StreamForwardingOwner: AnyObject {
  /// The publisher is gone for good, or somebody stopped the stream.
  func forwarding(_ forwarding: StreamForwarding, didEnd reason: String)
}

/// A section that a peer receives in.
internal struct ForwardedSection {
  let kind: MediaKind
  /// Negotiated, with the peer's payload types.
  let codecs: [RTPCodec]

  /// The payload types for a codec and its retransmissions.
  func payloadTypes(_ codec: Codec) -> (media: RTPCodec, rtx: UInt8?)? {
    let matching = codecs.filter { $0.media == codec }
    // RFC 6184 §6.3: fragments need mode 1.
    guard let media = matching.first(where: { codec != .h264 || $0.parameters["packetization-mode"] == "1" }) else { return nil }
    return (media, codecs.first { $0.associatedPayloadType == media.payloadType }?.payloadType)
  }

  /// The payload type in which frames of this one come twice (RFC 2198).
  func redundantPayloadType(of media: UInt8) -> UInt8? {
    codecs.first { !$0.redundantPayloadTypes.isEmpty && $0.redundantPayloadTypes.allSatisfy { $0 == media } }?.payloadType
  }
}

/// One stream on its way to one peer: a cursor into the stream's packets, which are given the peer's numbers and encrypted for it.
internal final class StreamForwarding: PacketReaderOwner {
  /// A section that is sent in.
  internal struct Sender {
    var section: ForwardedSection
    /// An index of `PeerMedia.outgoing`.
    let outgoing: Int
    /// Of the stream; `nil` while it has none of the kind.
    var track: UInt8?
    /// The layer that is sent, and the one that takes over with its next key frame.
    var layer: UInt8 = 0
    var wantedLayer: UInt8 = 0
    var awaitsKey = true
    /// Of a track whose layers are in one source: which of them go.
    var targets: TargetForwarding?
    /// In which its sound comes twice while packets are lost.
    var redundantType: UInt8?
    /// Nothing is sent for now.
    var isPaused = false
    /// Whose packets went out last.
    var source: UInt32 = 0
    /// Of the key frame that was begun last: one that is begun is finished, however late it is.
    var keyTimestamp: UInt32?

    init(_ section: ForwardedSection, outgoing: Int) {
      self.section = section
      self.outgoing = outgoing
    }
  }

  internal let peer: PeerSession
  internal let reader: PacketReader
  internal let hub: MediaHub
  internal let context: LoopContext
  internal private(set) weak var owner: (any StreamForwardingOwner)?
  internal var senders: [Sender]
  internal var cursor: Int?
  internal var isCatchingUp = false
  /// The first packet of pictures that has to wait for the path; sound goes on before it.
  internal var held: Int?
  /// How old what is sent may be without having waited: who joins at a key frame begins in the past, until it has caught up.
  internal var lag = TimeSpan.zero
  internal var keyFrames = KeyFrameDemand()
  internal var wakeup: (timer: SlabID, at: Instant)?
  internal var leftOut = 0
  private var redundancy = RedundantSound()
  /// The layer that the viewer asked for by name.
  private let pinned: String?
  internal private(set) var isEnded = false

  /// Packets at once to a viewer that is behind; more would overflow sockets on the way.
  private static let burst = 64
  internal static let burstPause = TimeSpan.milliseconds(5)
  private static let freshness = TimeSpan.seconds(1)

  /// - Parameter layer: the name of the only layer that is wanted.
  internal init(
    _ reader: PacketReader, to peer: PeerSession, _ senders: [Sender], layer: String? = nil, hub: MediaHub, in context: LoopContext,
    owner: any StreamForwardingOwner
  ) {
    self.peer = peer
    self.reader = reader
    self.senders = senders
    self.hub = hub
    self.context = context
    self.owner = owner
    pinned = layer
    reader.owner = self
    assignTracks()
  }

  internal var ring: PacketRing { reader.ring }

  /// Of what is sent, by sender; `nil` while the stream has no track for it.
  internal var codecs: [Codec?] {
    senders.map { sender in sender.track.flatMap { Int($0) < ring.tracks.count ? ring.tracks[Int($0)].codec : nil } }
  }

  /// Other sections of the peer carry the stream from now on; those that stay go on where they are.
  internal func setSenders(_ senders: [Sender]) {
    self.senders = senders.map { sender in
      guard var known = self.senders.first(where: { $0.outgoing == sender.outgoing }) else { return sender }
      known.section = sender.section
      return known
    }
    assignTracks()
  }

  /// From the next key frame on another layer of a sender's track, or none for now.
  internal func choose(_ layer: UInt8?, of index: Int) {
    guard senders.indices.contains(index), let track = senders[index].track else { return }
    defer { tellDemand() }
    guard let layer else {
      if !senders[index].isPaused { held = nil }
      senders[index].isPaused = true
      return
    }
    let isResumed = senders[index].isPaused
    if let scalability = ring.scalability(of: track) {
      return chooseTarget(Int(layer), of: index, scalability)
    }
    guard isResumed || senders[index].wantedLayer != layer else { return }
    senders[index].isPaused = false
    senders[index].wantedLayer = layer
    if isResumed { senders[index].awaitsKey = true }
    hub.requestKeyFrame(ring.path, track: track, layer: layer)
  }

  private func chooseTarget(_ target: Int, of index: Int, _ scalability: Scalability) {
    let isResumed = exchange(&senders[index].isPaused, with: false)
    var targets = senders[index].targets ?? TargetForwarding(wanted: target)
    let isChanged = targets.wanted != target || senders[index].targets == nil
    targets.wanted = target
    if isResumed { senders[index].awaitsKey = true }
    senders[index].targets = targets
    guard isResumed || isChanged && targets.needsKeyFrame(scalability), let track = senders[index].track else { return }
    hub.requestKeyFrame(ring.path, track: track, layer: 0)
  }

  /// What is wanted of a sender's track: one of its layers, or of its decode targets.
  internal func choice(of index: Int) -> UInt8? {
    guard senders.indices.contains(index), !senders[index].isPaused else { return nil }
    guard let track = senders[index].track, ring.scalability(of: track) != nil else { return senders[index].wantedLayer }
    return senders[index].targets.map { UInt8($0.wanted) }
  }

  /// The layers that are sent, and those that take over.
  private func tellDemand() {
    var demand = LayerDemand()
    for sender in senders where sender.section.kind == .video && !sender.isPaused {
      guard let track = sender.track else { continue }
      demand.insert(sender.wantedLayer, of: track)
      if !sender.awaitsKey { demand.insert(sender.layer, of: track) }
    }
    reader.demand = demand
  }

  // MARK: The stream

  internal func readerDidConfigure(_ reader: PacketReader) { assignTracks() }

  /// Which track of the stream goes to which section, in which of the codecs that were agreed on.
  private func assignTracks() {
    for index in senders.indices {
      let section = senders[index].section
      let track = ring.tracks.firstIndex { $0.kind == section.kind && section.payloadTypes($0.codec) != nil }
      senders[index].track = track.map { UInt8($0) }
      guard let track, let types = section.payloadTypes(ring.tracks[track].codec) else { continue }
      peer.media.outgoing[senders[index].outgoing].change(
        payloadType: types.media.payloadType, rtxPayloadType: types.rtx, clockRate: types.media.clockRate)
      senders[index].redundantType = section.kind == .audio ? section.redundantPayloadType(of: types.media.payloadType) : nil
      let layers = ring.tracks[track].layers
      let layer = pinned.flatMap { layers.firstIndex(of: $0) } ?? ring.busiestLayer(track: UInt8(track), of: layers.count)
      senders[index].wantedLayer = UInt8(layer)
      if senders[index].awaitsKey { senders[index].layer = UInt8(layer) }
    }
    tellDemand()
  }

  internal func readerHasPackets(_ reader: PacketReader) { forward() }

  internal func readerDidEnd(_ reader: PacketReader, _ reason: EndReason) { owner?.forwarding(self, didEnd: "the stream ended") }

  internal func readerWasKicked(_ reader: PacketReader, _ reason: KickReason) { owner?.forwarding(self, didEnd: "\(reason)") }

  // MARK: Sending

  internal func forward() {
    guard peer.canSend, !isCatchingUp, !isEnded, let start = position() else { return }
    let now = context.now
    var (next, sent) = (start, 0)
    while next < ring.head, sent < Self.burst {
      if forward(next, now) { sent += 1 }
      next += 1
    }
    cursor = next
    release(now)
    askForKeyFrame(now)
    isCatchingUp = next < ring.head
    if held == nil, !isCatchingUp { lag = .zero }
    comeBack(now)
  }

  /// Where to go on: where it stopped, or for who just came at the newest key frame.
  private func position() -> Int? {
    if let cursor {
      if cursor >= ring.base { return cursor }
      reader.skips += 1
      held = nil
      for index in senders.indices { senders[index].awaitsKey = true }
    }
    guard let video = senders.first(where: { $0.section.kind == .video && $0.track != nil }), let track = video.track,
      Int(track) < ring.tracks.count
    else {
      return ring.head
    }
    // A key frame of long ago would be followed by all that came since; who can be asked for a new one is asked.
    let isPatient = ring.tracks[Int(track)].answersRequests
    if let join = ring.joinPoint(track: track, layer: video.wantedLayer), !isPatient || ring.age(of: join) < Self.freshness {
      lag = ring.age(of: join)
      return join
    }
    hub.requestKeyFrame(ring.path, track: track, layer: video.wantedLayer)
    return ring.head
  }

  private func forward(_ offset: Int, _ now: Instant) -> Bool {
    let packet = ring.packet(at: offset)
    guard let index = senders.firstIndex(where: { $0.track == packet.track }) else { return false }
    guard !senders[index].isPaused else {
      closeOver(packet, index)
      return false
    }
    if senders[index].section.kind == .video {
      // Behind what waits already.
      if held != nil { return false }
      guard admits(packet, index) else {
        leaveOut(packet, index, now)
        return false
      }
      if !isOpen(now) {
        held = offset
        return false
      }
    }
    return send(packet, index, now)
  }

  internal func send(_ packet: StreamPacket, _ index: Int, _ now: Instant) -> Bool {
    // The publisher's number carried nothing.
    guard !packet.payload.isEmpty else {
      closeOver(packet, index)
      return false
    }
    var marker = packet.marker
    if let frame = packet.frame, let scalability = ring.scalability(of: packet.track) {
      guard let endsPicture = takes(frame, index, scalability) else {
        closeOver(packet, index)
        return false
      }
      marker = marker || endsPicture
    }
    let isNew = senders[index].source != packet.source
    if isNew { senders[index].source = packet.source }
    let payload = packet.payload
    guard
      var fields = peer.media.outgoing[senders[index].outgoing].forward(
        sequenceNumber: packet.sequence, timestamp: packet.timestamp, marker: marker,
        payloadBytes: payload.count - Int(packet.padding), source: packet.source, now: now)
    else { return false }
    fields.hasPadding = packet.padding > 0
    if peer.media.lossShare >= RedundantSound.begin, repeats(packet, index) {
      fields.payloadType = senders[index].redundantType ?? fields.payloadType
      peer.send(fields, payload: redundancy.payload.span.bytes, now: now)
    } else {
      peer.send(fields, payload: payload.bytes, now: now)
    }
    reader.bytesSent += payload.count
    if isNew { updateClock(index, packet) }
    return true
  }

  /// The packet is not for this viewer, whose numbers go on without a gap.
  private func closeOver(_ packet: StreamPacket, _ index: Int) {
    peer.media.outgoing[senders[index].outgoing].leaveOut(sequenceNumber: packet.sequence, source: packet.source)
  }

  /// Whether sound goes with the frame before it, which is then in `redundancy`.
  private func repeats(_ packet: StreamPacket, _ index: Int) -> Bool {
    guard senders[index].redundantType != nil, packet.padding == 0,
      let former = ring.packet(source: packet.source, sequence: packet.sequence &- 1), former.padding == 0
    else { return false }
    return redundancy.encode(
      packet.payload.bytes, after: former.payload.bytes, offset: packet.timestamp &- former.timestamp,
      payloadType: peer.media.outgoing[senders[index].outgoing].parameters.payloadType)
  }

  /// Whether a frame is of the target that is sent, and then whether the picture ends with it; all go until one is chosen.
  private func takes(_ frame: ScalableFrame, _ index: Int, _ scalability: Scalability) -> Bool? {
    if senders[index].targets == nil { senders[index].targets = TargetForwarding(wanted: scalability.targets.count - 1) }
    guard case .send(let endsPicture)? = senders[index].targets?.decide(frame, scalability) else { return nil }
    return endsPicture
  }

  /// Whether a packet of pictures is of the layer that is sent; a change of layer waits for its key frame.
  internal func admits(_ packet: StreamPacket, _ index: Int) -> Bool {
    let sender = senders[index]
    if packet.startsKeyFrame, packet.layer == sender.wantedLayer, sender.awaitsKey || sender.layer != sender.wantedLayer {
      senders[index].layer = packet.layer
      senders[index].awaitsKey = false
      senders[index].keyTimestamp = packet.timestamp
      keyFrames.didBegin()
      tellDemand()
    }
    return !senders[index].awaitsKey && packet.layer == senders[index].layer
  }

  private func updateClock(_ index: Int, _ packet: StreamPacket) {
    setClock(ring.clocks.first { $0.source == packet.source }, of: index)
  }

  internal func reader(_ reader: PacketReader, didReceive clock: PacketClock) {
    for index in senders.indices where senders[index].source == clock.source { setClock(clock, of: index) }
  }

  private func setClock(_ clock: PacketClock?, of index: Int) {
    let outgoing = senders[index].outgoing
    let rate = peer.media.outgoing[outgoing].parameters.clockRate
    peer.publisherClocks[outgoing] = clock.map { MediaClock(ntp: NTPTime(value: $0.ntp), timestamp: $0.timestamp, rate: rate) }
  }

  // MARK: The peer

  /// What the peer says it misses of one of the senders.
  internal func retransmit(_ index: Int, _ lost: [UInt16]) {
    guard peer.canSend, senders.indices.contains(index) else { return }
    let (now, outgoing) = (context.now, senders[index].outgoing)
    for number in lost.prefix(Self.burst) where peer.media.congestion?.isOpenForRepair(now) ?? true {
      guard let origin = peer.media.outgoing[outgoing].origin(of: number),
        let packet = ring.packet(source: origin.source, sequence: origin.sequenceNumber),
        var fields = peer.media.outgoing[outgoing].retransmit(
          number, timestamp: packet.timestamp, marker: packet.marker, source: packet.source)
      else { continue }
      fields.hasPadding = packet.padding > 0
      peer.resend(fields, number: number, of: outgoing, payload: packet.payload.bytes, now: now)
    }
  }

  /// The peer cannot decode one of the senders' pictures. One that is skipping gets the next key frame that the path takes.
  internal func needsKeyFrame(_ index: Int) {
    guard senders.indices.contains(index), let track = senders[index].track, !keyFrames.isWaiting else { return }
    hub.requestKeyFrame(ring.path, track: track, layer: senders[index].layer)
  }

  /// Feedback may have opened the path, or begun a probe of it.
  internal func peerDidReceiveBatch() {
    if held != nil || peer.media.congestion?.isProbing(context.now) == true { forward() }
  }

  internal func end() {
    guard !isEnded else { return }
    isEnded = true
    if let wakeup { context.cancel(wakeup.timer) }
    ring.remove(reader)
  }
}
