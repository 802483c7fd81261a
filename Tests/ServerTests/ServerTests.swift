import MartletServer
import Testing

@Suite struct ServerTests {}
