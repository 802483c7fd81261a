internal import MartletCrypto
internal import MartletICE
internal import MartletPeerEngine
internal import MartletPrimitives
internal import MartletRTP
internal import MartletSDP

// webrtc-stats.
extension PeerConnectionCore {
  var report: PeerConnection.Report {
    var report = PeerConnection.Report()
    report.transport = transportReport
    for pair in session.transport.pairs {
      let ids = (Self.id(of: pair.local), Self.id(of: pair.remote))
      report.candidatePairs.append(Self.report(pair, ids))
      if !report.localCandidates.contains(where: { $0.id == ids.0 }) { report.localCandidates.append(Self.report(pair.local, ids.0)) }
    }
    for candidate in session.transport.localCandidates where !report.localCandidates.contains(where: { $0.id == Self.id(of: candidate) }) {
      report.localCandidates.append(Self.report(candidate, Self.id(of: candidate)))
    }
    report.remoteCandidates = session.transport.remoteCandidates.map { Self.report($0, Self.id(of: $0)) }
    report.inboundRTP = session.media.incoming.streams.compactMap(inbound)
    report.outboundRTP = session.media.outgoing.enumerated().map { outbound($1, index: $0) }
    report.dataChannels = channels.sorted { $0.key < $1.key }.map { number, channel in
      PeerConnection.Report.DataChannel(
        dataChannelIdentifier: Int(number), label: channel.label, protocol: channel.options.protocolName,
        bufferedAmount: session.bufferedAmount(of: number))
    }
    report.certificateFingerprint = "\(fingerprint.algorithmName) \(fingerprint.digest.map(Self.hexadecimal).joined(separator: ":"))"
    return report
  }

  private static func hexadecimal(_ byte: UInt8) -> String { (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true) }

  private var transportReport: PeerConnection.Report.Transport {
    let transport = session.transport
    return PeerConnection.Report.Transport(
      bytesSent: session.bytesSent, bytesReceived: session.bytesReceived, packetsSent: session.packetsSent,
      packetsReceived: session.packetsReceived, iceRole: transport.iceRole == .controlling ? "controlling" : "controlled",
      iceState: transport.iceState.rawValue, selectedCandidatePairId: transport.selectedPair.map { "P\($0.id)" },
      dtlsCipher: transport.dtls?.cipher, srtpCipher: transport.srtpProfile.map { "\($0)" })
  }

  // MARK: Candidates

  /// What tells a candidate from all others of its side.
  private static func id(of candidate: ICECandidate) -> String {
    "\(candidate.type.rawValue)-\(candidate.transport)-\(candidate.host)-\(candidate.port)\(candidate.tcpType.map { "-" + $0.rawValue } ?? "")"
  }

  private static func report(_ candidate: ICECandidate, _ id: String) -> PeerConnection.Report.Candidate {
    PeerConnection.Report.Candidate(
      id: id, address: "\(candidate.host)", port: Int(candidate.port), protocol: "\(candidate.transport)",
      candidateType: candidate.type.rawValue, priority: Int(candidate.priority), tcpType: candidate.tcpType?.rawValue)
  }

  private static func report(_ pair: ICEPairReport, _ ids: (local: String, remote: String)) -> PeerConnection.Report.CandidatePair {
    let counters = pair.counters
    return PeerConnection.Report.CandidatePair(
      id: "P\(pair.id)", localCandidateId: ids.local, remoteCandidateId: ids.remote, state: pair.state.rawValue,
      nominated: pair.isNominated, priority: pair.priority, requestsSent: Int(counters.requestsSent),
      responsesReceived: Int(counters.responsesReceived), requestsReceived: Int(counters.requestsReceived),
      responsesSent: Int(counters.responsesSent), consentRequestsSent: Int(counters.consentRequestsSent),
      currentRoundTripTime: counters.roundTripMeasurements > 0 ? counters.roundTrip.seconds : nil,
      totalRoundTripTime: counters.totalRoundTrip.seconds)
  }

  // MARK: Media

  private func inbound(_ stream: IncomingStream) -> PeerConnection.Report.InboundRTP? {
    guard sections.indices.contains(stream.section) else { return nil }
    let section = sections[stream.section]
    let statistics = stream.statistics
    return PeerConnection.Report.InboundRTP(
      ssrc: stream.ssrc, mid: section.mid, rid: stream.rid, kind: section.kind == .audio ? .audio : .video,
      codec: Self.report(stream.codec, section.kind == .audio), packetsReceived: Int(clamping: statistics.packets),
      bytesReceived: Int(clamping: statistics.bytes), packetsLost: Int(statistics.lost),
      jitter: Double(statistics.jitter) / Double(max(1, statistics.clockRate)),
      retransmittedPacketsReceived: Int(clamping: stream.recovered), pliCount: Int(clamping: stream.keyFrameRequests))
  }

  private func outbound(_ track: OutgoingTrack, index: Int) -> PeerConnection.Report.OutboundRTP {
    let sender = senders.values.first { $0.index == index }
    let isAudio = sender.flatMap { transceiver($0.transceiver) }?.kind == .audio
    let codec = sender?.codecs.first { $0.payloadType == track.parameters.payloadType }
    let clockRate = Double(max(1, track.parameters.clockRate))
    let remote = track.lastReport.map {
      PeerConnection.Report.RemoteInboundRTP(
        packetsLost: Int($0.cumulativeLost), fractionLost: Double($0.fractionLost) / 256, jitter: Double($0.jitter) / clockRate,
        roundTripTime: track.roundTrip?.seconds)
    }
    return PeerConnection.Report.OutboundRTP(
      ssrc: track.parameters.ssrc, mid: track.parameters.mid, codec: codec.map { Self.report($0, isAudio) },
      packetsSent: Int(track.statistics.packets), bytesSent: Int(track.statistics.bytes),
      retransmittedPacketsSent: Int(clamping: track.retransmitted), pliCount: Int(clamping: track.keyFrameRequests), remote: remote)
  }

  private static func report(_ codec: RTPCodec, _ isAudio: Bool) -> PeerConnection.Report.Codec {
    PeerConnection.Report.Codec(
      payloadType: Int(codec.payloadType), mimeType: "\(isAudio ? "audio" : "video")/\(codec.name)", clockRate: Int(codec.clockRate))
  }
}
