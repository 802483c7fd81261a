internal import MartletCrypto
internal import MartletICE
internal import MartletPeerEngine
internal import MartletPrimitives
internal import MartletRTP
internal import MartletSCTP

extension PeerConnectionCore {
  var statistics: PeerConnection.Statistics {
    var statistics = PeerConnection.Statistics()
    (statistics.bytesSent, statistics.bytesReceived) = (session.bytesSent, session.bytesReceived)
    statistics.packetsSent = session.packetsSent
    if let pair = session.transport.selectedPair {
      statistics.remoteAddress = "\(pair.remote)"
      statistics.localCandidateType = pair.localType.rawValue
      statistics.remoteCandidateType = pair.remoteType.rawValue
      let report = session.transport.pairs.first { $0.id == pair.id }
      statistics.currentRoundTripTime = report.map { .nanoseconds($0.counters.roundTrip.nanoseconds) }
    }
    statistics.availableOutgoingBitrate = session.media.congestion?.estimate?.bitsPerSecond
    statistics.dtlsCipher = session.transport.dtls?.cipher
    statistics.srtpCipher = session.transport.srtpProfile.map { "\($0)" }
    if let data = session.dataStatistics {
      (statistics.messagesSent, statistics.messagesReceived) = (data.messagesSent, data.messagesReceived)
      statistics.congestionWindow = data.congestionWindow
    }
    return statistics
  }
}
