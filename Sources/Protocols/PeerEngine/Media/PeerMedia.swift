package import MartletPrimitives
package import MartletRTP

/// Media both ways with one peer, and the RTCP about it (RFC 3550 §6, RFC 4585, RFC 5506). Packets pass by: incoming ones through
/// `incoming`, outgoing ones are written by who has them, with the headers of `outgoing`.
package struct PeerMedia {
  package enum Event: Equatable, Sendable {
    /// The peer cannot decode a track of ours, an index of `outgoing`, before its next key frame.
    case keyFrameRequested(track: Int)
    /// Sequence numbers, as the peer knows them, that it misses of a track of ours.
    case missing(track: Int, [UInt16])
    /// A source of the peer has ended.
    case goodbye(ssrc: UInt32)
  }

  package struct Limits: Sendable {
    /// Events that wait to be polled.
    package var events = 256
    /// A compound's size: a datagram without SRTCP's 14 to 20 bytes.
    package var compoundBytes = 1150
    package init() {}
  }

  // What every packet that leaves is led by comes first, side by side.
  package var outgoing: [OutgoingTrack]
  /// Of what is sent; `nil` where nothing is.
  package var congestion: CongestionControl?
  /// The peer loses some of what it is sent, and takes FEC.
  private var isRepairing = false
  package var incoming: IncomingMedia
  private let reporter: UInt32
  private let cname: String
  private let limits: Limits
  private var events = Deque<Event>()
  private var nextSenderReport: Instant?
  private var parsed: [RTCPPacket] = []
  private(set) package var malformedControl = 0
  /// By the peer's answers to our extended reports, while nothing is sent.
  private var receivingRoundTrip: TimeSpan?
  /// The last reference time of the peer, which it is told of in turn (RFC 3611 §4.5).
  private var reference: (ssrc: UInt32, time: UInt32, receivedAt: Instant)?

  /// A second, as browsers do: a viewer's lip sync waits for the first.
  private static let reportInterval = TimeSpan.seconds(1)

  /// - Parameter reporter: the SSRC of reports while nothing is sent.
  package init(_ incoming: [IncomingSection], _ outgoing: [OutgoingTrack], reporter: UInt32, cname: String, limits: Limits = Limits()) {
    self.incoming = IncomingMedia(incoming, reporter: outgoing.first?.parameters.ssrc ?? reporter)
    self.outgoing = outgoing
    self.reporter = outgoing.first?.parameters.ssrc ?? reporter
    self.cname = cname
    self.limits = limits
  }

  // MARK: What the peer says

  /// - Parameters:
  ///   - datagram: a decrypted compound or reduced-size packet.
  ///   - ntp: the wall-clock time of `now`, on the clock of our sender reports.
  package mutating func receiveControl(_ datagram: RawSpan, now: Instant, ntp: NTPTime) {
    parsed.removeAll(keepingCapacity: true)
    // What came before a malformed packet counts.
    do { try RTCPPacket.parse(datagram, into: &parsed) } catch { malformedControl += 1 }
    for packet in parsed { receive(packet, now: now, ntp: ntp) }
  }

  private mutating func receive(_ packet: RTCPPacket, now: Instant, ntp: NTPTime) {
    switch packet {
    case .senderReport(let report):
      incoming.receive(report, now: now)
      for block in report.blocks { receive(block, now: now, ntp: ntp) }
    case .receiverReport(let report): for block in report.blocks { receive(block, now: now, ntp: ntp) }
    case .nack(let nack): if let track = track(nack.media) { raise(.missing(track: track, nack.lost)) }
    case .pictureLoss(let loss): receiveKeyFrameRequest(loss.media)
    case .fullIntraRequest(let request): for entry in request.entries { receiveKeyFrameRequest(entry.ssrc) }
    case .bitrateEstimate(let estimate): congestion?.receive(bitrateLimit: estimate.bitsPerSecond, now: now)
    case .transportFeedback(let feedback): congestion?.receive(feedback, now: now)
    case .goodbye(let goodbye): for source in goodbye.sources { raise(.goodbye(ssrc: source)) }
    case .extendedReport(let report): receive(report, now: now, ntp: ntp)
    case .sourceDescription, .application: break
    }
  }

  private mutating func receive(_ report: ExtendedReport, now: Instant, ntp: NTPTime) {
    if let time = report.referenceTime { reference = (report.ssrc, time.middle, now) }
    guard let reply = report.replies.first(where: { $0.ssrc == reporter }), let trip = reply.roundTrip(now: ntp) else { return }
    receivingRoundTrip = trip
    incoming.setRoundTrip(trip)
  }

  /// Between here and the peer, as RTCP last measured it: by reports about what is sent, or, by one who only receives, by extended
  /// reports (RFC 3611 §4.4), which browsers answer without having agreed to.
  package var roundTrip: TimeSpan? { outgoing.lazy.compactMap(\.roundTrip).first ?? receivingRoundTrip }

  private mutating func receiveKeyFrameRequest(_ ssrc: UInt32) {
    guard let track = track(ssrc) else { return }
    outgoing[track].keyFrameRequests += 1
    raise(.keyFrameRequested(track: track))
  }

  private func track(_ ssrc: UInt32) -> Int? { outgoing.firstIndex { $0.parameters.ssrc == ssrc } }

  private mutating func receive(_ block: ReportBlock, now: Instant, ntp: NTPTime) {
    guard let track = track(block.ssrc) else { return }
    outgoing[track].receive(block, now: ntp)
    congestion?.receive(block, now: now)
    isRepairing = outgoing.contains { $0.repair?.isActive == true }
    if let trip = outgoing[track].roundTrip { incoming.setRoundTrip(trip) }
  }

  private mutating func raise(_ event: Event) { if events.count < limits.events { events.append(event) } }

  package mutating func pollEvent() -> Event? {
    let next = events.popFirst()
    if next == nil { events.removeAll() }
    return next
  }

  // MARK: What is sent

  /// What a packet that leaves is.
  package enum SentKind: Sendable {
    /// Nobody has seen its number yet.
    case first
    case padding
    /// One that was lost, as it was (RFC 3711 §9.1: never another one under its number).
    case repetition
  }

  /// Counts a packet that leaves now, and answers what its header is stamped with.
  ///
  /// - Parameter bytes: of the datagram.
  package mutating func stamp(_ fields: RTPHeaderFields, bytes: Int, as kind: SentKind, now: Instant) -> PathStamp? {
    guard let mode = congestion?.mode else { return nil }
    guard kind != .repetition else {
      congestion?.sentUnnumbered(bytes: bytes, now: now)
      return track(fields.ssrc).flatMap { outgoing[$0].stamp(of: fields.sequenceNumber) }
    }
    guard fields.stampID != 0 else {
      congestion?.sentUnnumbered(bytes: bytes, now: now)
      return nil
    }
    let stamp = makeStamp(mode, bytes, kind, now)
    if let stamp, let track = track(fields.ssrc) { outgoing[track].keep(stamp, of: fields.sequenceNumber) }
    return stamp
  }

  private mutating func makeStamp(_ mode: CongestionMode, _ bytes: Int, _ kind: SentKind, _ now: Instant) -> PathStamp? {
    guard mode == .transportFeedback else {
      congestion?.sentUnnumbered(bytes: bytes, now: now)
      return .sendTime(AbsoluteSendTime(now))
    }
    return (kind == .padding ? congestion?.padded(bytes: bytes, now: now) : congestion?.sent(bytes: bytes, now: now)).map { .number($0) }
  }

  /// Takes a packet that has left, whose header is as it went out.
  /// - Returns: the header and payload of a repair packet that is to follow it.
  package mutating func repair(
    _ fields: RTPHeaderFields, header: RawSpan, payload: RawSpan, now: Instant
  ) -> (RTPHeaderFields, payload: [UInt8])? {
    // A path that is full loses more for what is added.
    guard isRepairing, congestion?.isOpen(now) ?? true, let track = track(fields.ssrc) else { return nil }
    return outgoing[track].repair?.add(fields, header: header, payload: payload)
  }

  /// Where padding may go: a track of pictures that are sent again in a stream of their own.
  package var paddedTrack: Int? {
    outgoing.firstIndex { $0.parameters.rtx != nil && $0.parameters.stampID != 0 && $0.statistics.packets > 0 }
  }

  // MARK: What we say

  package var deadline: Instant? {
    let report = outgoing.contains { $0.statistics.packets > 0 } ? nextSenderReport ?? .zero : nil
    return .earliest(incoming.deadline, report)
  }

  /// Appends what is due, each a packet of its own to be protected: a compound of reports, and reduced-size feedback.
  ///
  /// - Parameter clocks: of those who made what is forwarded, by track of ours, as far as they are known.
  package mutating func poll(now: Instant, ntp: NTPTime, clocks: [MediaClock?], into batch: inout DatagramBatch) {
    var (packets, blocks): ([RTCPPacket], [ReportBlock]) = ([], [])
    incoming.poll(now: now, into: &packets, blocks: &blocks)
    let sends = outgoing.contains { $0.statistics.packets > 0 } && nextSenderReport ?? .zero <= now
    if sends { nextSenderReport = now + Self.reportInterval }
    if sends || !blocks.isEmpty { writeReports(sends ? senderReports(now, ntp, clocks) : [], blocks, now, ntp, &batch) }
    write(packets, &batch)
  }

  private func senderReports(_ now: Instant, _ ntp: NTPTime, _ clocks: [MediaClock?]) -> [SenderReport] {
    outgoing.indices.compactMap { index in
      outgoing[index].senderReport(ntp: ntp, clock: index < clocks.count ? clocks[index] : nil, now: now)
    }
  }

  /// RFC 3550 §6.1: a compound begins with a report and names its sender.
  private mutating func writeReports(
    _ reports: [SenderReport], _ blocks: [ReportBlock], _ now: Instant, _ ntp: NTPTime, _ batch: inout DatagramBatch
  ) {
    var writer = ByteWriter(capacity: 256)
    var rest = blocks[...]
    if reports.isEmpty { ReceiverReport(ssrc: reporter, blocks: Array(rest.prefix(Self.blocksEach))).write(into: &writer) }
    if reports.isEmpty { rest = rest.dropFirst(Self.blocksEach) }
    for var report in reports {
      report.blocks = Array(rest.prefix(Self.blocksEach))
      rest = rest.dropFirst(Self.blocksEach)
      report.write(into: &writer)
    }
    while !rest.isEmpty, writer.count < limits.compoundBytes / 2 {
      ReceiverReport(ssrc: reporter, blocks: Array(rest.prefix(Self.blocksEach))).write(into: &writer)
      rest = rest.dropFirst(Self.blocksEach)
    }
    // A packet for each: aiortc reads no more than one chunk, and drops the reports with the others.
    for source in reports.isEmpty ? [reporter] : reports.map(\.ssrc) {
      RTCPPacket.sourceDescription([SourceDescription(ssrc: source, cname: cname)]).write(into: &writer)
    }
    extendedReport(hasSent: !reports.isEmpty, now, ntp)?.write(into: &writer)
    batch.append(writer.bytes.span.bytes)
  }

  /// RFC 3611 §4.4, §4.5: who sends nothing asks for the round trip, and who is asked answers once.
  private mutating func extendedReport(hasSent: Bool, _ now: Instant, _ ntp: NTPTime) -> ExtendedReport? {
    let replies = reference.map { [ExtendedReport.Reply(ssrc: $0.ssrc, lastReferenceTime: $0.time, held: now - $0.receivedAt)] } ?? []
    reference = nil
    guard !hasSent || !replies.isEmpty else { return nil }
    return ExtendedReport(ssrc: reporter, referenceTime: hasSent ? nil : ntp, replies: replies)
  }

  /// The count of report blocks has five bits.
  private static let blocksEach = 31

  private func write(_ packets: [RTCPPacket], _ batch: inout DatagramBatch) {
    var writer = ByteWriter()
    for packet in packets {
      var next = ByteWriter()
      packet.write(into: &next)
      if writer.count + next.count > limits.compoundBytes, writer.count > 0 {
        batch.append(writer.bytes.span.bytes)
        writer.removeAll()
      }
      writer.append(next.bytes)
    }
    if writer.count > 0 { batch.append(writer.bytes.span.bytes) }
  }
}
