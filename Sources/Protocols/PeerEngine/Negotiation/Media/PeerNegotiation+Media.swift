internal import MartletRTP
internal import MartletSDP

extension PeerNegotiation {
  /// What is to be received and sent now. While our offer waits, what it adds is received already: the peer may send before its
  /// answer is here.
  package func negotiatedMedia() -> NegotiatedMedia {
    var media = NegotiatedMedia()
    for index in 0..<descriptions.sectionCount {
      let agreed = agreement(index)
      media.incoming.append(incoming(index, agreed))
      if let agreed, agreed.sends, let mid = agreed.local.mid, let transceiver = transceiver(mid: mid), transceiver.isLive,
        let outgoing = agreed.outgoing(transceiver, mid: mid, cname: cname)
      {
        media.outgoing.append(outgoing)
      }
    }
    return media
  }

  private func agreement(_ index: Int) -> MediaAgreement? {
    let isProvisional = descriptions.pendingLocal != nil && descriptions.pendingRemote != nil
    let local = isProvisional ? descriptions.pendingLocal : descriptions.currentLocal
    let remote = isProvisional ? descriptions.pendingRemote : descriptions.currentRemote
    guard let local, let remote else { return nil }
    return MediaAgreement(
      index, local: local.session, remote: remote.session, isAnsweredHere: local.type.isAnswer, limits: configuration.limits)
  }

  private func incoming(_ index: Int, _ agreed: MediaAgreement?) -> IncomingSection {
    if let agreed, agreed.receives, let mid = agreed.local.mid { return agreed.incoming(mid) }
    let offered = descriptions.pendingRemote == nil ? descriptions.pendingLocal?.session : nil
    if let offered, offered.media.indices.contains(index), !offered.media[index].isRejected, let mid = offered.media[index].mid,
      offered.media[index].transport.isRTP, offered.direction(of: index).receives
    {
      let section = offered.media[index]
      return IncomingSection(mid: mid, kind: section.kind, codecs: section.codecs, extensions: HeaderExtensions(section.extensions))
    }
    let known = [descriptions.local, descriptions.remote].compactMap { $0?.session.media }.first { $0.indices.contains(index) }?[index]
    return IncomingSection(mid: known?.mid ?? "", kind: known?.kind ?? .application, codecs: [], extensions: HeaderExtensions())
  }

  mutating func announceDataChannels() {
    guard let local = descriptions.currentLocal?.session, let remote = descriptions.currentRemote?.session else { return }
    for (ours, theirs) in zip(local.media, remote.media) where !ours.isRejected && !theirs.isRejected {
      guard let localPort = ours.sctpPort, let remotePort = theirs.sctpPort, let mid = ours.mid else { continue }
      // RFC 8841 §6.1: 64 KiB where nothing is said, and 0 for any size.
      let size = theirs.maxMessageSize ?? 65536
      let parameters = DataChannelParameters(
        mid: mid, localPort: localPort, remotePort: remotePort, maxMessageSize: size == 0 ? nil : size)
      if parameters != dataChannels { raise(.dataChannels(parameters)) }
      dataChannels = parameters
      return
    }
  }
}
