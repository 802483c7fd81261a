internal import MartletCodecs
package import MartletPrimitives
package import MartletRTP
internal import MartletSDP

/// The media of a peer: tells which stream a packet belongs to (RFC 8843 §9.2), restores retransmissions, and says what has to be
/// reported and asked for again. It forwards; putting packets in order is for who depacketizes.
package struct IncomingMedia: Sendable {
  /// A packet as it is handed on.
  package struct Packet: Sendable {
    /// An index of `streams`.
    package let stream: Int
    package let header: RTPHeader
    /// The packet and its payload in the buffer it came in.
    package let range: Range<Int>
    /// Empty for a number that carries nothing: padding that probes the path, or FEC.
    package let payload: Range<Int>
    /// Comfort noise (RFC 3389) or a named event (RFC 4733): no frame of the codec, and none is missing.
    package var isBesideMedia = false
    /// A viewer can begin with it.
    package let startsKeyFrame: Bool
    /// In −dBov: 0 is loudest (RFC 6464).
    package let audioLevel: AudioLevel?
  }

  package struct Limits: Sendable {
    /// SSRCs, those of retransmissions and of sources that have ended among them.
    package var sources = 64
    package init() {}
  }

  /// Packets that were not taken, by reason.
  package struct Drops: Equatable, Sendable {
    package var malformed = 0
    /// Of no section that was negotiated.
    package var unknown = 0
    /// Of a payload type that is carried but not used, or FEC that cannot be understood.
    package var unused = 0
    package var tooManySources = 0
  }

  private struct Source: Sendable {
    let ssrc: UInt32
    let stream: Int
    let isRetransmission: Bool
  }

  package private(set) var streams: [IncomingStream] = []
  package private(set) var drops = Drops()
  private var sections: [IncomingSection]
  /// By section.
  private var roles: [PayloadRoles] = []
  /// Whether the peer sends any.
  package var expectsMedia: Bool { !sections.isEmpty }
  private var sources: [Source] = []
  private let limits: Limits
  /// The sender of our reports.
  private let reporter: UInt32
  private var feedback: TransportFeedbackGenerator?
  /// A section whose packets carry transport-wide numbers.
  private var numbered: Int?
  private var bitrateLimit: UInt64
  private var usesREMB = false
  private var nextReport: Instant?
  private var lost: [UInt16] = []
  private var recovered = Deque<(stream: Int, bytes: [UInt8])>()

  /// RFC 3550 §6.2 would allow less often; a second keeps round trips and loss fresh.
  private static let reportInterval = TimeSpan.seconds(1)

  /// - Parameters:
  ///   - reporter: the SSRC of our reports.
  ///   - bitrateLimit: what a peer may send in bits a second, told to those that only know REMB.
  package init(_ sections: [IncomingSection], reporter: UInt32, bitrateLimit: UInt64 = 20_000_000, limits: Limits = Limits()) {
    self.sections = []
    self.reporter = reporter
    self.bitrateLimit = bitrateLimit
    self.limits = limits
    update(sections)
  }

  /// Another description was negotiated. Streams of sections that stay go on.
  package mutating func update(_ sections: [IncomingSection]) {
    // A section that was used again for something else has none of the former sources.
    let recycled = sections.indices.filter { self.sections.indices.contains($0) && self.sections[$0].mid != sections[$0].mid }
    sources.removeAll { recycled.contains(streams[$0.stream].section) }
    self.sections = sections
    roles = sections.map { PayloadRoles($0.codecs) }
    let codecs = sections.lazy.flatMap(\.codecs)
    let usesFeedback = sections.contains { $0.extensions.id(of: .transportSequenceNumber) != nil }
    // RFC 8843 §9.1: an id means the same in all sections of a bundle.
    numbered = sections.firstIndex { $0.extensions.id(of: .transportSequenceNumber) != nil }
    if usesFeedback, feedback == nil { feedback = TransportFeedbackGenerator() }
    usesREMB = !usesFeedback && codecs.contains { $0.feedback.contains(.remb) }
    for (index, section) in sections.enumerated() {
      for announced in section.announced where source(announced.ssrc) == nil {
        guard let codec = section.codecs.first(where: \.isPrimary) else { continue }
        add(announced.ssrc, section: index, rid: nil, codec, rtx: announced.rtx)
      }
    }
  }

  // MARK: Receiving

  /// Takes one decrypted packet, which a retransmission is restored in.
  package mutating func receive(_ packet: UnsafeMutableRawBufferPointer, now: Instant) -> Packet? {
    let bytes = UnsafeRawBufferPointer(packet).bytes
    do throws(ParseError) {
      var header = try RTPHeader(parsing: bytes)
      // Of every packet: probes of the path belong to no stream that is known yet, and would count as lost.
      if let numbered, let number = header.transportSequenceNumber(in: bytes, sections[numbered].extensions) {
        feedback?.receive(number, now: now)
      }
      if try takeFlexFEC(header, in: bytes) { return nil }
      guard let source = try source(of: header, in: bytes) else { return nil }
      let section = sections[streams[source.stream].section]
      var range = 0..<packet.count
      if source.isRetransmission {
        guard let original = section.codec(header.payloadType)?.associatedPayloadType,
          let restored = try RTX.restore(packet, ssrc: streams[source.stream].ssrc, payloadType: original)
        else { return nil }
        range = restored.range
        header = try RTPHeader(parsing: bytes.extracting(range))
        if streams[source.stream].nacks?.isMissing(header.sequenceNumber) == false { return nil }
      }
      return try open(header, packet, range, source, section, now: now)
    } catch {
      drops.malformed += 1
      return nil
    }
  }

  /// Takes RED off a packet of video, and keeps a copy where FEC may need it.
  private mutating func open(
    _ header: RTPHeader, _ buffer: UnsafeMutableRawBufferPointer, _ range: Range<Int>, _ source: Source, _ section: IncomingSection,
    now: Instant
  ) throws(ParseError) -> Packet? {
    var (header, range, origin) = (header, range, source.isRetransmission ? Origin.retransmission : .network)
    let roles = roles[streams[source.stream].section]
    if section.kind == .video, roles[header.payloadType] == .red {
      let opened = try VideoRED.open(UnsafeMutableRawBufferPointer(rebasing: buffer[range]))
      range = range.lowerBound + opened.range.lowerBound..<range.upperBound
      header = try RTPHeader(parsing: UnsafeRawBufferPointer(rebasing: buffer[range]).bytes)
      if roles[opened.payloadType] == .ulpfec { origin = .repair }
    }
    let whole = UnsafeRawBufferPointer(rebasing: buffer[range]).bytes
    if streams[source.stream].erasures != nil {
      if origin == .repair {
        let content = whole.extracting(try header.payloadRange(in: whole))
        streams[source.stream].erasures?.receive(try RepairPacket(ulpfec: content, ssrc: header.ssrc))
      } else {
        var copy = Array(copying: whole)
        copy.withUnsafeMutableBytes { header.clearMutableExtensions($0, section.extensions) }
        streams[source.stream].erasures?.receive(copy, number: header.sequenceNumber)
      }
      collectRecovered(source.stream)
    }
    return try take(header, in: whole, range: range, source.stream, section, origin, now: now)
  }

  // MARK: FEC

  /// A repair stream (draft-ietf-payload-flexible-fec-scheme-03) has an SSRC of its own and says whom it protects.
  private mutating func takeFlexFEC(_ header: RTPHeader, in packet: RawSpan) throws(ParseError) -> Bool {
    guard roles.contains(where: { $0[header.payloadType] == .flexFEC }) else { return false }
    let repair = try RepairPacket(flexFEC: packet.extracting(try header.payloadRange(in: packet)))
    guard let index = streams.firstIndex(where: { $0.ssrc == repair.ssrc && $0.erasures != nil }) else {
      drops.unused += 1
      return true
    }
    streams[index].erasures?.receive(repair)
    collectRecovered(index)
    return true
  }

  private mutating func collectRecovered(_ stream: Int) {
    while let bytes = streams[stream].erasures?.pollPacket() { recovered.append((stream, bytes)) }
  }

  /// The next packet that FEC brought back, and the buffer it lies in.
  package mutating func pollRecovered(now: Instant) -> (packet: Packet, bytes: [UInt8])? {
    while let (index, bytes) = recovered.popFirst() {
      guard let header = try? RTPHeader(parsing: bytes.span.bytes) else { continue }
      let section = sections[streams[index].section]
      let packet = try? take(header, in: bytes.span.bytes, range: 0..<bytes.count, index, section, .recovered, now: now)
      if let packet { return (packet, bytes) }
    }
    return nil
  }

  private enum Origin {
    case network, retransmission
    /// FEC, and what it brought back.
    case repair, recovered
  }

  /// - Parameter packet: the bytes at `range` of the buffer.
  private mutating func take(
    _ header: RTPHeader, in packet: RawSpan, range: Range<Int>, _ index: Int, _ section: IncomingSection, _ origin: Origin, now: Instant
  ) throws(ParseError) -> Packet? {
    let payload = try header.payloadRange(in: packet)
    // Reports are of the network's losses, whatever mends them (RFC 3550 §6.4.1).
    if origin == .network || origin == .repair { streams[index].statistics.receive(header, bytes: payload.count, now: now) }
    guard origin != .repair, !payload.isEmpty else {
      streams[index].nacks?.receive(header.sequenceNumber, now: now)
      let nothing = payload.lowerBound + range.lowerBound
      return Packet(
        stream: index, header: header, range: range, payload: nothing..<nothing, startsKeyFrame: false, audioLevel: nil)
    }
    if roles[streams[index].section][header.payloadType] == .besideMedia {
      streams[index].nacks?.receive(header.sequenceNumber, now: now)
      let content = payload.lowerBound + range.lowerBound..<payload.upperBound + range.lowerBound
      return Packet(
        stream: index, header: header, range: range, payload: content, isBesideMedia: true, startsKeyFrame: false,
        audioLevel: header.audioLevel(in: packet, section.extensions))
    }
    guard follow(header.payloadType, of: index, section) else {
      drops.unused += 1
      streams[index].nacks?.receive(header.sequenceNumber, now: now)
      return nil
    }
    let isKey = streams[index].isVideo && streams[index].media?.isKeyFrameStart(packet.extracting(payload)) == true
    streams[index].nacks?.receive(header.sequenceNumber, startsKeyFrame: isKey, now: now)
    if isKey { streams[index].keyFrames.keyFrameArrived() }
    if streams[index].nacks?.pollKeyFrameRequest() == true, streams[index].isVideo { streams[index].keyFrames.request() }
    return Packet(
      stream: index, header: header, range: range,
      payload: payload.lowerBound + range.lowerBound..<payload.upperBound + range.lowerBound, startsKeyFrame: isKey,
      audioLevel: streams[index].isVideo ? nil : header.audioLevel(in: packet, section.extensions))
  }

  /// The peer may change between the codecs that were negotiated.
  private mutating func follow(_ payloadType: UInt8, of index: Int, _ section: IncomingSection) -> Bool {
    if streams[index].codec.payloadType == payloadType { return true }
    guard roles[streams[index].section][payloadType] == .media, let codec = section.codec(payloadType) else { return false }
    streams[index].codec = codec
    streams[index].media = codec.media
    return true
  }

  // MARK: Which stream

  private func source(_ ssrc: UInt32) -> Source? {
    for source in sources where source.ssrc == ssrc { return source }
    return nil
  }

  private mutating func source(of header: RTPHeader, in packet: RawSpan) throws(ParseError) -> Source? {
    if let known = source(header.ssrc) { return known }
    guard let place = section(of: header, in: packet) else {
      drops.unknown += 1
      return nil
    }
    let section = sections[place]
    guard let codec = section.codec(header.payloadType) else {
      drops.unknown += 1
      return nil
    }
    guard sources.count < limits.sources else {
      drops.tooManySources += 1
      return nil
    }
    if roles[place][header.payloadType] == .retransmission {
      let rid = header.text(of: .repairedRID, in: packet, section.extensions)
      // RFC 8852 §3.1; without rids a section has one stream to repair.
      guard let stream = streams.lastIndex(where: { $0.section == place && $0.rid == rid }) else { return nil }
      streams[stream].rtx = header.ssrc
      sources.append(Source(ssrc: header.ssrc, stream: stream, isRetransmission: true))
      return sources.last
    }
    guard let primary = codec.isPrimary ? codec : section.codecs.first(where: \.isPrimary) else { return nil }
    add(header.ssrc, section: place, rid: header.text(of: .rid, in: packet, section.extensions), primary)
    return sources.last
  }

  private func section(of header: RTPHeader, in packet: RawSpan) -> Int? {
    for (index, section) in sections.enumerated() {
      guard let mid = header.text(of: .mid, in: packet, section.extensions) else { continue }
      return section.mid == mid ? index : sections.firstIndex { $0.mid == mid }
    }
    // RFC 8843 §9.2: by a payload type that only one section has.
    let candidates = sections.indices.filter { sections[$0].codec(header.payloadType) != nil }
    return candidates.count == 1 ? candidates[0] : nil
  }

  private mutating func add(_ ssrc: UInt32, section: Int, rid: String?, _ codec: RTPCodec, rtx: UInt32? = nil) {
    var stream = IncomingStream(section: section, rid: rid, ssrc: ssrc, codec: codec, rtx: rtx)
    if roles[section].hasFEC, stream.isVideo { stream.erasures = ErasureDecoder() }
    streams.append(stream)
    sources.append(Source(ssrc: ssrc, stream: streams.count - 1, isRetransmission: false))
    if let rtx { sources.append(Source(ssrc: rtx, stream: streams.count - 1, isRetransmission: true)) }
  }

  // MARK: Control

  package mutating func receive(_ report: SenderReport, now: Instant) {
    guard let source = source(report.ssrc), !source.isRetransmission else { return }
    streams[source.stream].statistics.receive(report, now: now)
    streams[source.stream].clock = MediaClock(report, rate: streams[source.stream].codec.clockRate)
  }

  /// Somebody needs a key frame of a stream.
  package mutating func requestKeyFrame(_ stream: Int) {
    guard streams.indices.contains(stream), streams[stream].isVideo else { return }
    streams[stream].keyFrames.request()
  }

  /// As measured by whoever can: it paces the requests for lost packets.
  package mutating func setRoundTrip(_ span: TimeSpan) {
    for index in streams.indices { streams[index].nacks?.roundTrip = span }
  }

  package var deadline: Instant? {
    guard !streams.isEmpty else { return nil }
    var earliest = min(nextReport ?? .zero, feedback?.deadline ?? .distantFuture)
    for stream in streams { earliest = min(earliest, stream.deadline ?? .distantFuture) }
    return earliest
  }

  /// Appends the feedback and requests that are due to `packets`, and to `blocks` what a report, which somebody else writes, says
  /// about each stream.
  package mutating func poll(now: Instant, into packets: inout [RTCPPacket], blocks: inout [ReportBlock]) {
    guard !streams.isEmpty else { return }
    if nextReport ?? .zero <= now {
      nextReport = now + Self.reportInterval
      for index in streams.indices { if let block = streams[index].statistics.reportBlock(now: now) { blocks.append(block) } }
      if usesREMB {
        packets.append(.bitrateEstimate(ReceiverEstimatedBitrate(sender: reporter, bitsPerSecond: bitrateLimit, sources: ssrcs)))
      }
    }
    if let first = streams.first {
      while let due = feedback?.poll(sender: reporter, media: first.ssrc, now: now) { packets.append(.transportFeedback(due)) }
    }
    for index in streams.indices { pollStream(index, now: now, into: &packets) }
  }

  private var ssrcs: [UInt32] { streams.map(\.ssrc) }

  private mutating func pollStream(_ index: Int, now: Instant, into packets: inout [RTCPPacket]) {
    let ssrc = streams[index].ssrc
    if let due = streams[index].nacks?.deadline, due <= now {
      lost.removeAll(keepingCapacity: true)
      streams[index].nacks?.poll(now: now, into: &lost)
      if !lost.isEmpty { packets.append(.nack(GenericNACK(sender: reporter, media: ssrc, lost: lost))) }
      if streams[index].nacks?.pollKeyFrameRequest() == true, streams[index].isVideo { streams[index].keyFrames.request() }
    }
    if streams[index].keyFrames.poll(now: now) {
      packets.append(.pictureLoss(PictureLossIndication(sender: reporter, media: ssrc)))
    }
  }
}
