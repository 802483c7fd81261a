internal import MartletCodecs
internal import MartletIO
internal import MartletMedia
internal import MartletPeerEngine
internal import MartletPrimitives
internal import MartletRTP
internal import MartletSDP
internal import MartletWebRTC

/// What hears of a publication that is over.
internal protocol PacketPublishingOwner: AnyObject {
  func publishing(_ publishing: PacketPublishing, wasRevoked reason: KickReason)
  /// Other layers than before are watched: `wanted` tells which.
  func publishingWantsOthers(_ publishing: PacketPublishing)
}

extension PacketPublishingOwner {
  internal func publishingWantsOthers(_ publishing: PacketPublishing) {}
}

/// Sections of a peer that are one stream: their packets go on as they are, and as frames for every other output.
internal final class PacketPublishing: PublicationOwner {
  /// What one stream of the peer is to the rest.
  private struct Source {
    let track: UInt8
    let layer: UInt8
    /// Names its numbers for viewers.
    let name: UInt32
    /// Payload bytes since the layer was last chosen, and the bits a second while it came last.
    var bytes = 0
    var rate: Int?
    var clock: PacketClock?
  }

  private struct Track {
    let section: Int
    let kind: MediaKind
    var layers: [String]
    var ingest: TrackIngest?
    /// The layer that frames are made of, an index of `layers`.
    var framed: UInt8 = 0
    var wanted: WantedLayers
    let extensions: HeaderExtensions
    var layout: ScalableLayout?
    /// Its place among the publication's tracks, once its format is known.
    var frames: UInt8?
  }

  internal let client: ClientInfo
  private let peer: PeerSession
  private let listener: WebRTCListener
  private weak var owner: (any PacketPublishingOwner)?
  private var publication: Publication?
  private var tracks: [Track] = []
  /// By `IncomingMedia.streams`.
  private var sources: [Source?] = []
  private var clock: PublisherClock
  private var train = PacketTrain()
  /// For a picture whose rest does not come.
  private var departure: SlabID?
  private var outputs: [TrackIngest.Output] = []
  private var frameTracks = 0
  private var areFramesRead = true
  /// What is left out of what comes.
  private var silenced: Set<MediaKind> = []
  private var demand = LayerDemand()
  private var unread = UnreadFrames()
  private var announced: [PacketTrack] = []
  /// From the publisher's wall clock to ours, fixed by its first report, so that all tracks keep step.
  private var wallOffset: TimeSpan?
  private var nextChoice: Instant
  private static let choiceInterval = TimeSpan.seconds(2)

  /// - Parameter sections: by their index in the peer's description; more may be added later.
  internal init(
    _ sections: [(index: Int, section: IncomingSection)], of peer: PeerSession, as client: ClientInfo, listener: WebRTCListener,
    hub: MediaHub, owner: any PacketPublishingOwner
  ) throws(PublishError) {
    self.client = client
    self.peer = peer
    self.listener = listener
    self.owner = owner
    nextChoice = listener.context.now + Self.choiceInterval
    clock = PublisherClock(tracks: sections.count, start: listener.context.now)
    silenced = client.silenced
    publication = try hub.publish(client, owner: self)
    add(sections)
  }

  private var context: LoopContext { listener.context }

  /// Sections that carry media of this stream too from now on.
  internal func add(_ sections: [(index: Int, section: IncomingSection)]) {
    for (index, section) in sections {
      let layers = section.rids.isEmpty ? [""] : section.rids
      tracks.append(
        Track(
          section: index, kind: section.kind == .video ? .video : .audio, layers: layers, wanted: WantedLayers(count: layers.count),
          extensions: section.extensions))
      let codec = section.codecs.first { $0.isPrimary }
      announced.append(
        PacketTrack(
          codec: codec?.media ?? .data, clockRate: codec?.clockRate ?? 90_000, layers: layers, answersRequests: true))
    }
    clock.expect(tracks: tracks.count)
    publication?.expect(Set(tracks.map(\.kind)))
    publication?.setPacketTracks(announced)
  }

  // MARK: Packets

  /// - Returns: whether the packet is of this stream.
  @discardableResult internal func receive(_ packet: IncomingMedia.Packet, in buffer: UnsafeRawBufferPointer) -> Bool {
    guard let publication, let source = source(packet.stream) else { return false }
    if silenced.contains(tracks[Int(source.track)].kind) { return true }
    let payload = Slice(copying: UnsafeRawBufferPointer(rebasing: buffer[packet.payload]).bytes)
    sources[packet.stream]?.bytes += payload.count
    let stream = peer.media.incoming.streams[packet.stream]
    if let codec = stream.media, announced[Int(source.track)].codec != codec {
      announced[Int(source.track)].codec = codec
      announced[Int(source.track)].clockRate = stream.codec.clockRate
      publication.setPacketTracks(announced)
    }
    let isVideo = tracks[Int(source.track)].kind == .video
    let frame = isVideo ? frame(packet, of: Int(source.track), in: buffer) : nil
    train.append(
      StreamPacket(
        track: source.track, layer: source.layer, source: source.name, sequence: packet.header.sequenceNumber,
        timestamp: packet.header.timestamp, marker: packet.header.marker,
        startsKeyFrame: packet.startsKeyFrame || !isVideo && !payload.isEmpty, frame: frame, payload: payload),
      isPicture: isVideo, now: context.now)
    if source.layer == tracks[Int(source.track)].framed { ingest(packet, payload, Int(source.track), stream) }
    return true
  }

  /// What the packet says of its layers, read once for all viewers. Simulcast is layers enough.
  private func frame(_ packet: IncomingMedia.Packet, of index: Int, in buffer: UnsafeRawBufferPointer) -> ScalableFrame? {
    guard tracks[index].layers.count == 1, !packet.payload.isEmpty else { return nil }
    let bytes = UnsafeRawBufferPointer(rebasing: buffer[packet.range]).bytes
    guard let value = packet.header.value(of: .dependencyDescriptor, in: bytes, tracks[index].extensions) else { return nil }
    var layout = tracks[index].layout ?? ScalableLayout()
    let (frame, isChanged) = layout.receive(bytes.extracting(value))
    tracks[index].layout = layout
    if isChanged {
      // What came before is of the structure before.
      if let waiting = train.take(now: .distantFuture) { publication?.send(waiting) }
      announced[index].scalability = layout.scalability
      publication?.setPacketTracks(announced)
    }
    return frame
  }

  private func source(_ stream: Int) -> Source? {
    while sources.count <= stream { sources.append(nil) }
    if let known = sources[stream] { return known }
    let incoming = peer.media.incoming.streams[stream]
    guard let track = tracks.firstIndex(where: { $0.section == incoming.section }) else { return nil }
    let layer = incoming.rid.flatMap { tracks[track].layers.firstIndex(of: $0) } ?? 0
    let made = Source(track: UInt8(track), layer: UInt8(layer), name: UInt32.random(in: 1...UInt32.max, using: &listener.random))
    sources[stream] = made
    return made
  }

  /// Everything that came in this turn has been handed over.
  internal func didReceiveBatch() {
    updateClocks()
    depart()
    if !unread.isEmpty { publication?.send(exchange(&unread, with: UnreadFrames())) }
    if context.now >= nextChoice { chooseLayers() }
  }

  private func depart() {
    guard var packets = train.take(now: context.now) else { return awaitRest() }
    TrainPadding.equalise(&packets)
    publication?.send(packets)
    train.reuse(packets)
  }

  private func awaitRest() {
    guard departure == nil, let deadline = train.deadline else { return }
    departure = context.schedule(at: deadline) { [weak self] in
      self?.departure = nil
      self?.depart()
    }
  }

  /// When `timeout` wants to be called.
  internal var deadline: Instant? { tracks.reduce(nil) { .earliest($0, $1.ingest?.deadline) } }

  internal func timeout() {
    let now = context.now
    for index in tracks.indices {
      tracks[index].ingest?.timeout(now: now, into: &outputs)
      publish(index, now)
    }
  }

  // MARK: Frames

  private func ingest(_ packet: IncomingMedia.Packet, _ payload: Slice, _ index: Int, _ stream: IncomingStream) {
    guard let codec = stream.media else { return }
    if tracks[index].ingest?.codec != codec { tracks[index].ingest = TrackIngest(codec, clockRate: stream.codec.clockRate) }
    tracks[index].ingest?.isRead = areFramesRead
    guard tracks[index].ingest?.wants(packet.header, startsKeyFrame: packet.startsKeyFrame) ?? false else {
      return unread.count(packet.header, payload, codec.kind)
    }
    let now = context.now
    tracks[index].ingest?.receive(packet.header, payload, now: now, into: &outputs)
    publish(index, now)
  }

  private func publish(_ index: Int, _ now: Instant) {
    guard !outputs.isEmpty else { return }
    for output in exchange(&outputs, with: []) {
      switch output {
      case .format(let format): setFormat(format, index)
      case .frame(var frame):
        guard let track = tracks[index].frames else { continue }
        frame.track = track
        frame.dts = clock.place(frame.dts, of: index, rate: announced[index].clockRate, now: now)
        frame.pts = frame.dts
        publication?.send(frame)
      // For the looks of a stream that nobody reads the next one will do, but the first tells what the track is.
      case .lost where areFramesRead || tracks[index].frames == nil: requestKeyFrame(track: index, layer: tracks[index].framed)
      case .lost: continue
      }
    }
  }

  private func setFormat(_ format: TrackFormat, _ index: Int) {
    let place = tracks[index].frames ?? UInt8(frameTracks)
    if tracks[index].frames == nil {
      tracks[index].frames = place
      frameTracks += 1
    }
    publication?.setFormat(format, track: place)
  }

  /// Sender reports put the tracks in step, here and at viewers.
  private func updateClocks() {
    for index in sources.indices {
      guard let source = sources[index], let report = peer.media.incoming.streams[index].clock else { continue }
      let now = context.now
      let offset = wallOffset ?? peer.clock.ntp(at: now) - report.ntp
      wallOffset = offset
      let packetClock = PacketClock(source: source.name, ntp: report.ntp.advanced(by: offset).value, timestamp: report.timestamp)
      guard source.clock != packetClock else { continue }
      sources[index]?.clock = packetClock
      publication?.setPacketClock(packetClock)
      if source.layer == tracks[Int(source.track)].framed { clock.receive(report, of: Int(source.track), now: now) }
    }
  }

  /// Frames are made of the layer that has the most of the picture: which one that is, only its bytes tell.
  private func chooseLayers() {
    let elapsed = (context.now - nextChoice + Self.choiceInterval).seconds
    nextChoice = context.now + Self.choiceInterval
    for index in tracks.indices where tracks[index].layers.count > 1 {
      let layers = sources.compactMap(\.self).filter { $0.track == index }
      guard let best = layers.max(by: { $0.bytes < $1.bytes }), best.layer != tracks[index].framed else { continue }
      let present = layers.first { $0.layer == tracks[index].framed }?.bytes ?? 0
      guard best.bytes > present + present / 4 else { continue }
      tracks[index].framed = best.layer
      // The other layer's numbers are others; decoding begins anew with its next key frame.
      tracks[index].ingest = nil
      requestKeyFrame(track: index, layer: best.layer)
    }
    for index in sources.indices {
      guard let source = sources[index] else { continue }
      if source.bytes > 0 { sources[index]?.rate = Int(Double(source.bytes) * 8 / elapsed) }
      sources[index]?.bytes = 0
    }
    followDemand()
  }

  // MARK: What is watched

  internal struct Wish {
    /// An index of the peer's sections.
    let section: Int
    /// Names of the layers that somebody watches; none has a name without simulcast.
    let layers: [String]
    let isWanted: Bool
  }

  /// What the publisher need make.
  internal var wanted: [Wish] {
    tracks.filter { $0.kind == .video }.map { track in
      let layers = track.layers.indices.filter { track.wanted.contains(UInt8($0)) }
      return Wish(section: track.section, layers: layers.map { track.layers[$0] }.filter { !$0.isEmpty }, isWanted: !layers.isEmpty)
    }
  }

  private func followDemand() {
    let now = context.now
    var isChanged = false
    for index in tracks.indices where tracks[index].kind == .video {
      if tracks[index].wanted.update(watched: watchedLayers(index), now: now) { isChanged = true }
    }
    guard isChanged, publication != nil else { return }
    for index in tracks.indices { announced[index].resting = restingRates(index) }
    publication?.setPacketTracks(announced)
    owner?.publishingWantsOthers(self)
  }

  /// Frames are made of the best layer. One that has not been seen yet cannot be chosen by what it takes, so it has to come first.
  private func watchedLayers(_ index: Int) -> UInt32 {
    var watched = demand.layers(of: index)
    let known = sources.compactMap(\.self).filter { $0.track == index && $0.rate != nil }
    if areFramesRead {
      guard let best = known.max(by: { ($0.rate ?? 0) < ($1.rate ?? 0) }) else { return .max }
      watched |= 1 << UInt32(best.layer & 31)
    }
    guard watched != 0 else { return 0 }
    for layer in tracks[index].layers.indices where !known.contains(where: { $0.layer == layer }) { watched |= 1 << UInt32(layer & 31) }
    return watched
  }

  private func restingRates(_ index: Int) -> [UInt8: Int] {
    let resting = sources.compactMap(\.self).filter { $0.track == index && !tracks[index].wanted.contains($0.layer) }
    return Dictionary(resting.compactMap { source in source.rate.map { (source.layer, $0) } }) { first, _ in first }
  }

  // MARK: Key frames

  internal func publicationWasRevoked(_ publication: Publication, _ reason: KickReason) { owner?.publishing(self, wasRevoked: reason) }

  internal func publication(_ publication: Publication, needsKeyFrameOf track: UInt8, layer: UInt8) {
    requestKeyFrame(track: Int(track), layer: layer)
    peer.settle()
  }

  internal func publication(_ publication: Publication, framesAreRead areRead: Bool) {
    areFramesRead = areRead
    if areRead { followDemand() }
  }

  internal func publication(_ publication: Publication, isWatchedIn demand: LayerDemand) {
    guard self.demand != demand else { return }
    self.demand = demand
    followDemand()
  }

  /// What is heard again begins as another source: viewers know no gap in its numbers, and decoding begins with a key frame.
  internal func publication(_ publication: Publication, didSilence kinds: Set<MediaKind>) {
    let heard = silenced.subtracting(kinds)
    silenced = kinds
    for (index, track) in tracks.enumerated() where heard.contains(track.kind) {
      requestKeyFrames(track: index)
      tracks[index].ingest = nil
      for stream in sources.indices where sources[stream]?.track == UInt8(index) { sources[stream] = nil }
    }
    peer.settle()
  }

  private func requestKeyFrames(track: Int) {
    for layer in tracks[track].layers.indices { requestKeyFrame(track: track, layer: UInt8(layer)) }
  }

  private func requestKeyFrame(track: Int, layer: UInt8) {
    guard tracks.indices.contains(track) else { return }
    let layer = layer == StreamPacket.framedLayer ? tracks[track].framed : layer
    for (index, source) in sources.enumerated() where source?.track == UInt8(track) && source?.layer == layer {
      peer.media.incoming.requestKeyFrame(index)
    }
  }

  // MARK: The end

  internal func finish() {
    if let departure { context.cancel(departure) }
    publication?.finish()
    publication = nil
  }
}

extension UnreadFrames {
  /// A picture ends with its marker (RFC 3551 §5); a packet of sound is a frame.
  fileprivate mutating func count(_ header: RTPHeader, _ payload: Slice, _ kind: MediaKind) {
    guard !payload.isEmpty else { return }
    bytes += payload.count
    if kind == .audio { sounds += 1 } else if header.marker { pictures += 1 }
  }
}
