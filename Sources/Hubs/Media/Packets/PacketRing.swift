internal import MartletCodecs
package import MartletIO
package import MartletPrimitives

/// The recent packets of a stream on one worker, in the order in which they came. A viewer is a cursor into it, and what a viewer
/// lost is found in it again: one history for all of them.
package final class PacketRing {
  package struct Limits: Sendable {
    /// Payload bytes. A group of pictures that is longer than this cannot be joined at its beginning.
    package var bytes = 8 << 20
    package var packets = 16_384
    /// How long packets are kept to be sent again, however small.
    package var age = TimeSpan.seconds(2)
    package init() {}
  }

  private struct Entry {
    var packet: StreamPacket
    var arrival: Instant
  }

  /// Where the last packets of one source lie, by sequence number.
  private struct Places {
    static let count = 2048
    var source: UInt32
    var offsets: [Int]
  }

  package let key: PacketKey
  package private(set) var tracks: [PacketTrack] = []
  package private(set) var clocks: [PacketClock] = []
  /// Packets come, or a publisher may come back.
  package private(set) var isLive = false
  private let limits: Limits
  private let context: LoopContext
  private var entries = Deque<Entry>()
  /// The offset of `entries[0]`.
  package private(set) var base = 0
  private var bytes = 0
  private var places: [Places] = []
  private struct Join {
    var track: UInt8, layer: UInt8
    var offset: Int
  }
  /// The newest key frame of each layer.
  private var joins: [Join] = []
  private var meters: [LayerMeter] = []
  /// Of tracks whose layers are in one source, by track.
  private var targetMeters: [UInt8: TargetMeter] = [:]
  package private(set) var readers: [PacketReader] = []
  /// Nobody can be asked for a key frame, so the last one is kept however old it is.
  private var keepsJoins = true
  /// The first reader came or the last one left.
  internal var occupancyChanged: ((PacketRing) -> Void)?
  /// Other layers are watched than before.
  internal var demandChanged: ((PacketRing) -> Void)?
  internal private(set) var demand = LayerDemand()
  private var isFlushScheduled = false

  package init(_ key: PacketKey, limits: Limits = Limits(), in context: LoopContext) {
    self.key = key
    self.limits = limits
    self.context = context
  }

  package var path: StreamPath { key.path }
  /// One behind the newest packet.
  package var head: Int { base + entries.count }
  package func packet(at offset: Int) -> StreamPacket { entries[offset - base].packet }

  /// The layers that are in one source of a track; a track may be gone already.
  package func scalability(of track: UInt8) -> Scalability? { Int(track) < tracks.count ? tracks[Int(track)].scalability : nil }

  /// Where a viewer of this layer can begin.
  package func joinPoint(track: UInt8, layer: UInt8) -> Int? {
    joins.first { $0.track == track && $0.layer == layer }.flatMap { $0.offset >= base ? $0.offset : nil }
  }

  /// When a packet came, and how long ago.
  package func arrival(of offset: Int) -> Instant { entries[offset - base].arrival }
  package func age(of offset: Int) -> TimeSpan { context.now - arrival(of: offset) }

  /// The layer of a track with the most bytes among the packets at hand, which is the one with the most of the picture.
  package func busiestLayer(track: UInt8, of count: Int) -> Int {
    guard count > 1 else { return 0 }
    var sizes = [Int](repeating: 0, count: count)
    for offset in base..<head {
      let packet = packet(at: offset)
      if packet.track == track, Int(packet.layer) < count { sizes[Int(packet.layer)] += packet.payload.count }
    }
    if let best = layerRates(of: track, now: context.now).last?.layer, tracks[Int(track)].resting[best] != nil { return Int(best) }
    return sizes.indices.max { sizes[$0] < sizes[$1] } ?? 0
  }

  /// A packet that was here lately.
  package func packet(source: UInt32, sequence: UInt16) -> StreamPacket? {
    guard let place = places.first(where: { $0.source == source }) else { return nil }
    let offset = place.offsets[Int(sequence) % Places.count]
    guard offset >= base, offset < head else { return nil }
    let packet = packet(at: offset)
    return packet.source == source && packet.sequence == sequence ? packet : nil
  }

  /// The packets since the newest key frame of every layer, for another worker that joins.
  internal var recent: [StreamPacket] {
    ((oldestJoin ?? head)..<head).map { packet(at: $0) }
  }

  /// Of the newest key frames of the layers; those of a layer that is sent no more fall out in the end.
  private var oldestJoin: Int? { joins.lazy.map(\.offset).filter { $0 >= self.base }.min() }

  // MARK: Filling

  internal func configure(_ tracks: [PacketTrack]) {
    let wasLive = exchange(&isLive, with: true)
    let before = exchange(&self.tracks, with: tracks)
    if tracks.map(\.awake) == before.map(\.awake) {
      wakeLayers(before)
      // Whether layers rest is nothing that readers have to be told.
      if wasLive { return }
    } else {
      (joins, meters) = ([], [])
      keepsJoins = tracks.contains { $0.kind == .video && !$0.answersRequests }
    }
    for reader in readers { reader.owner?.readerDidConfigure(reader) }
  }

  private func wakeLayers(_ before: [PacketTrack]) {
    for (track, old) in before.enumerated() {
      for (layer, rate) in old.resting where tracks[track].resting[layer] == nil {
        let meter = meter(of: UInt8(track), layer) ?? meters.count
        if meter == meters.count { meters.append(LayerMeter(track: UInt8(track), layer: layer, since: context.now)) }
        meters[meter].wake(rate: rate, context.now)
      }
    }
  }

  internal func setClock(_ clock: PacketClock) {
    if let index = clocks.firstIndex(where: { $0.source == clock.source }) {
      clocks[index] = clock
    } else {
      if clocks.count == 32 { clocks.removeFirst() }
      clocks.append(clock)
    }
    for reader in readers { reader.owner?.reader(reader, didReceive: clock) }
  }

  internal func append(_ packets: [StreamPacket]) {
    let now = context.now
    for packet in packets where Int(packet.track) < tracks.count { append(packet, now) }
    trim(now)
    scheduleFlush()
  }

  private func append(_ packet: StreamPacket, _ now: Instant) {
    let offset = head
    entries.append(Entry(packet: packet, arrival: now))
    bytes += packet.payload.count
    note(packet, at: offset)
    guard tracks[Int(packet.track)].kind == .video else { return }
    measure(packet, now)
    guard packet.startsKeyFrame else { return }
    if let index = joins.firstIndex(where: { $0.track == packet.track && $0.layer == packet.layer }) {
      // The packets of one key frame may each look like a beginning: parameter sets, then slices.
      let known = joins[index].offset
      if known >= base, known < offset, self.packet(at: known).timestamp == packet.timestamp { return }
      joins[index].offset = offset
    } else if joins.count < 64 {
      joins.append(Join(track: packet.track, layer: packet.layer, offset: offset))
    }
  }

  private func meter(of track: UInt8, _ layer: UInt8) -> Int? { meters.firstIndex { $0.track == track && $0.layer == layer } }

  private func measure(_ packet: StreamPacket, _ now: Instant) {
    if let frame = packet.frame, let count = tracks[Int(packet.track)].scalability?.targets.count {
      if targetMeters[packet.track]?.count != count { targetMeters[packet.track] = TargetMeter(targets: count, since: now) }
      targetMeters[packet.track]?.add(packet.payload.count, frame, now)
    }
    if let index = meter(of: packet.track, packet.layer) {
      meters[index].add(packet.payload.count, now)
    } else if meters.count < 64 {
      meters.append(LayerMeter(track: packet.track, layer: packet.layer, since: now))
    }
  }

  /// The layers of a track that can be had, with their bits a second, the least first: those that come now, and those that come again
  /// once somebody watches them. Where the layers are in one source these are its decode targets.
  package func layerRates(of track: UInt8, now: Instant) -> [(layer: UInt8, rate: Int)] {
    guard Int(track) < tracks.count else { return [] }
    if let scalability = tracks[Int(track)].scalability, let meter = targetMeters[track], meter.count == scalability.targets.count {
      return scalability.choices.compactMap { target in meter.rate(target, now).map { (UInt8(target), $0) } }.sorted { $0.1 < $1.1 }
    }
    let resting = tracks[Int(track)].resting
    let present = meters.filter { $0.track == track && resting[$0.layer] == nil }.compactMap { meter in
      meter.rate(now).map { (meter.layer, $0) }
    }
    return (present + resting.map { ($0.key, $0.value) }).sorted { ($0.1, $0.0) < ($1.1, $1.0) }
  }

  private func note(_ packet: StreamPacket, at offset: Int) {
    let index =
      places.firstIndex { $0.source == packet.source }
      ?? {
        if places.count == 32 { places.removeFirst() }
        places.append(Places(source: packet.source, offsets: [Int](repeating: -1, count: Places.count)))
        return places.count - 1
      }()
    places[index].offsets[Int(packet.sequence) % Places.count] = offset
  }

  /// Keeps what viewers may still join at or ask for.
  private func trim(_ now: Instant) {
    let join = keepsJoins ? oldestJoin ?? head : head
    while let first = entries.first {
      let isFull = bytes > limits.bytes || entries.count > limits.packets
      guard isFull || base < join && now - first.arrival > limits.age else { return }
      entries.popFirst()
      bytes -= first.packet.payload.count
      base += 1
    }
  }

  internal func pause() { isLive = false }

  internal func end(_ reason: EndReason) {
    isLive = false
    (tracks, joins, clocks) = ([], [], [])
    for reader in readers { reader.owner?.readerDidEnd(reader, reason) }
  }

  private func scheduleFlush() {
    guard !isFlushScheduled, !readers.isEmpty else { return }
    isFlushScheduled = true
    context.atEndOfTurn { [weak self] in
      guard let self else { return }
      self.isFlushScheduled = false
      for reader in self.readers { reader.owner?.readerHasPackets(reader) }
    }
  }

  // MARK: Readers

  package func add(_ reader: PacketReader) {
    readers.append(reader)
    sumDemand()
    if readers.count == 1 { occupancyChanged?(self) }
    if isLive, !tracks.isEmpty { reader.owner?.readerDidConfigure(reader) }
  }

  fileprivate func sumDemand() {
    var sum = LayerDemand()
    for reader in readers { sum.formUnion(reader.demand) }
    guard sum != demand else { return }
    demand = sum
    demandChanged?(self)
  }

  package func remove(_ reader: PacketReader) {
    guard let index = readers.firstIndex(where: { $0 === reader }) else { return }
    readers.remove(at: index)
    reader.owner = nil
    sumDemand()
    if readers.isEmpty { occupancyChanged?(self) }
  }
}

/// One viewer of a stream's packets. Where it stands is its owner's to know.
package final class PacketReader {
  package let ring: PacketRing
  package let client: ClientInfo
  /// Holds it until the reader is removed from its ring.
  package var owner: (any PacketReaderOwner)?
  package var bytesSent = 0
  package var skips = 0
  /// The layers that it is sent, or waits for.
  package var demand = LayerDemand() { didSet { if demand != oldValue { ring.sumDemand() } } }

  package init(ring: PacketRing, client: ClientInfo) {
    self.ring = ring
    self.client = client
  }
}

package protocol PacketReaderOwner: AnyObject {
  /// The tracks are known, or others than before.
  func readerDidConfigure(_ reader: PacketReader)
  /// At the end of a turn in which packets came.
  func readerHasPackets(_ reader: PacketReader)
  /// How one of the sources' timestamps relate to the wall clock, by its publisher's last report.
  func reader(_ reader: PacketReader, didReceive clock: PacketClock)
  func readerDidEnd(_ reader: PacketReader, _ reason: EndReason)
  func readerWasKicked(_ reader: PacketReader, _ reason: KickReason)
}

extension PacketReaderOwner {
  package func reader(_ reader: PacketReader, didReceive clock: PacketClock) {}
}
