from .arms import ARMS as ARMS
from .arms import CONTROL_ARMS as CONTROL_ARMS
from .arms import FA_ARMS as FA_ARMS
from .arms import MAIN_ARMS as MAIN_ARMS
from .evidence import Note as Note
from .evidence import Study as Study
from .presets import preset as preset
from .profiles import PROFILES as PROFILES
