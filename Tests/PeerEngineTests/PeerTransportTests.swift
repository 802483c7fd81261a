import MartletCrypto
import MartletICE
import MartletPrimitives
import MartletPeerEngine
import TestSupport
import Testing

@Suite struct PeerTransportTests {
}
