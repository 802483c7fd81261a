/// The attributes this module understands; names are those of the IANA registry.
package enum STUNAttributeType: UInt16, Sendable, CaseIterable {
  // Comprehension-required: a receiver that does not know one must refuse the message (RFC 8489 §14).
  case mappedAddress = 0x0001
  case changeRequest = 0x0003
  case username = 0x0006
  case messageIntegrity = 0x0008
  case errorCode = 0x0009
  case unknownAttributes = 0x000A
  case channelNumber = 0x000C
  case lifetime = 0x000D
  case xorPeerAddress = 0x0012
  case data = 0x0013
  case realm = 0x0014
  case nonce = 0x0015
  case xorRelayedAddress = 0x0016
  case requestedAddressFamily = 0x0017
  case evenPort = 0x0018
  case requestedTransport = 0x0019
  case dontFragment = 0x001A
  case messageIntegritySHA256 = 0x001C
  case passwordAlgorithm = 0x001D
  case userhash = 0x001E
  case xorMappedAddress = 0x0020
  case reservationToken = 0x0022
  case priority = 0x0024
  case useCandidate = 0x0025
  case padding = 0x0026
  case responsePort = 0x0027
  case connectionID = 0x002A
  // Comprehension-optional.
  case additionalAddressFamily = 0x8000
  case addressErrorCode = 0x8001
  case passwordAlgorithms = 0x8002
  case alternateDomain = 0x8003
  case icmp = 0x8004
  case software = 0x8022
  case alternateServer = 0x8023
  case fingerprint = 0x8028
  case iceControlled = 0x8029
  case iceControlling = 0x802A
  case responseOrigin = 0x802B
  case otherAddress = 0x802C
}
